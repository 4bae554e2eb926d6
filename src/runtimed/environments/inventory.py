"""Which environments there are on disk, and removing cached ones on demand.

For whoever looks from outside, with or without a daemon: locks and markers say what is in use.
Everything here blocks: call it from a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import attrs

from runtimed.environments.cache_folders import Known, folder_size, known_in, remove_unused
from runtimed.environments.directories import environments_in, living_owners, read_marker
from runtimed.environments.environment import Kind

__all__ = ["Listed", "clean", "listing"]

Origin = Literal["cached", "copy", "leftover", "pool"]

_KINDS: tuple[Kind, ...] = ("uv", "conda")


@attrs.frozen
class Listed:
    """One environment on disk.

    origin: a cached one; a kernel's own copy of one; what a crash left; one that waits in a pool or
    was taken from it. in_use: a kernel runs in it, or in a copy of it, or the copy waits for one;
    or a daemon just makes it. packages: what was asked for beyond what every environment has; a
    copy's are those of what it is a copy of, while that is there.
    Units: size in bytes, counting what is shared with others; times are wall-clock seconds.
    """

    origin: Origin
    kind: Kind
    path: Path
    size: int
    created: float
    last_used: float
    in_use: bool
    packages: tuple[str, ...] = ()


def listing(root: Path, pool: Path | None = None) -> list[Listed]:
    """All environments in the cache `root` and, if it is given, in the folder of a daemon's pools.

    What was used last comes first.
    """
    found = [*_cached(root)]
    if pool is not None:
        found += _pooled(pool)
    return sorted(found, key=lambda one: one.last_used, reverse=True)


def clean(
    root: Path,
    *,
    now: float,
    older_than: float | None = None,
    everything: bool = False,
    dry_run: bool = False,
) -> list[Listed]:
    """Remove what nobody uses from the cache `root`; the value says what was, or would be, removed.

    older_than: cached environments unused for so many seconds go. everything: all of them go; those
    that have copies in use, too, which need them no more. Without either only what crashes left.
    Special cases: what is in use itself always stays. Pools belong to their daemons.
    Raises: OSError if some of it can't be removed, after all the rest was.
    """
    gone: list[Listed] = []
    trouble: OSError | None = None
    held = {one.path for one in known_in(root) if one.in_use}
    for one in _cached(root):
        old = older_than is not None and now - one.last_used > older_than
        leftover = one.origin in ("copy", "leftover")
        wanted = leftover or everything or (old and not one.in_use)
        if one.path in held or not wanted:
            continue
        try:
            if dry_run or remove_unused(root, one.path):
                gone.append(one)
        except OSError as error:
            trouble = error
    if trouble is not None:
        raise trouble
    return gone


def _cached(root: Path) -> Iterator[Listed]:
    known = known_in(root)
    copied = _copied(known)
    packages_of = {
        (one.name.kind, one.name.fingerprint): one.record.packages
        for one in known
        if one.record is not None and not one.name.own
    }
    for one in known:
        name = one.name
        in_use = one.in_use or (not name.own and (name.kind, name.fingerprint) in copied)
        if one.record is not None and not name.own:
            record = one.record
            size = record.size or folder_size(one.path)
            created, packages = record.created, record.packages
            yield Listed(
                "cached", name.kind, one.path, size, created, one.last_used, in_use, packages
            )
        else:
            origin: Origin = "copy" if name.own else "leftover"
            size = folder_size(one.path)
            used = one.last_used
            packages = packages_of.get((name.kind, name.fingerprint), ()) if name.own else ()
            yield Listed(origin, name.kind, one.path, size, used, used, in_use, packages)


def _copied(known: Iterable[Known]) -> set[tuple[Kind, str]]:
    """What has copies that are in use."""
    return {(one.name.kind, one.name.fingerprint) for one in known if one.name.own and one.in_use}


def _pooled(pool: Path) -> Iterator[Listed]:
    alive = set(living_owners(pool))
    for kind in _KINDS:
        for path in environments_in(pool, kind):
            if (marker := read_marker(path)) is None:
                continue
            taken = marker.state == "claimed" and marker.owner in alive
            created = marker.created
            yield Listed("pool", kind, path, folder_size(path), created, created, taken)
