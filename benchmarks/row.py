"""What a row of the budget is, and what it gets to work with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.daemon import Daemon
from benchmarks.measure import Measurement, Sample, interleave

__all__ = ["Bench", "Row", "WrongResult", "expect"]


class WrongResult(Exception):
    """A side answered quickly and wrongly: its time means nothing."""


def expect(condition: bool, text: str) -> None:
    """Check a result, off the clock. Raises: WrongResult."""
    if not condition:
        raise WrongResult(text)


@attrs.frozen
class Bench:
    """The surroundings of one run: a warm daemon, a scratch folder, how thorough to be.

    `only` is `ours` or `theirs` to leave the other half out.
    """

    daemon: Daemon
    scratch: Path
    quick: bool = False
    only: str | None = None

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @property
    def ours(self) -> bool:
        return self.only != "theirs"

    @property
    def theirs(self) -> bool:
        return self.only != "ours"

    def compare(
        self,
        ours: Callable[[], float] | None,
        theirs: Callable[[], float] | None,
        rounds: int,
        *,
        block: int = 1,
        warm_up: int = 1,
    ) -> tuple[Sample | None, Sample | None]:
        """Both sides in turns, or the one that is wanted; None for a side left out."""
        sides = {"ours": ours if self.ours else None, "theirs": theirs if self.theirs else None}
        wanted = {name: side for name, side in sides.items() if side is not None}
        samples = interleave(list(wanted.values()), rounds, block=block, warm_up=warm_up)
        found = dict(zip(wanted, samples, strict=True))
        return found.get("ours"), found.get("theirs")


@attrs.frozen
class Row:
    """One row of the budget: its name on the command line, what it does, how to measure it.

    A row that is `alone` has nothing to be compared with.
    """

    name: str
    title: str
    run: Callable[[Bench], list[Measurement]]
    alone: bool = False
