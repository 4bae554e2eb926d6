"""Which blobs are garbage: a decision about values, made without looking at any file."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import attrs

__all__ = ["Present", "Verdict", "judge"]


@attrs.frozen
class Present:
    """A blob on disk: when it was last put, in seconds since 1970, and its bytes."""

    put_at: float
    size: int


@attrs.frozen
class Verdict:
    """What may be removed now, and since when all that nobody refers to has been seen so."""

    garbage: list[str]
    unreferenced_since: dict[str, float]

    def due(self, grace: float) -> float | None:
        """When the next of those will have waited for the grace time; None if there is none."""
        gone = set(self.garbage)
        waiting = [at for name, at in self.unreferenced_since.items() if name not in gone]
        return min(waiting) + grace if waiting else None


def judge(
    present: Mapping[str, Present],
    referenced: AbstractSet[str],
    unreferenced_since: Mapping[str, float],
    now: float,
    grace: float,
) -> Verdict:
    """Tell what may be removed: what nobody has referred to, and nobody has put, for `grace`.

    `unreferenced_since` is that of the verdict before. So a blob is removed only if two looks, at
    least the grace time apart, both found it unreferenced: a reader that still has its name from
    before has that long, and a look that missed a reference which was just being moved does no
    harm.
    Units: seconds.
    """
    since = {
        name: min(unreferenced_since.get(name, now), now)
        for name in present
        if name not in referenced
    }
    garbage = [
        name
        for name, at in since.items()
        if now - at >= grace and now - present[name].put_at >= grace
    ]
    return Verdict(garbage, since)
