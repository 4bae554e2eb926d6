"""Measured values and what they are held against: samples, limits, verdicts.

Knows nothing of what is measured: the rows fill these values, the report reads them.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

import attrs

__all__ = ["Limit", "Measurement", "Sample", "Verdict", "clocked", "interleave"]


def _floats(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


@attrs.frozen
class Sample:
    """Repetitions of one piece of work, in the unit of the measurement they belong to."""

    values: tuple[float, ...] = attrs.field(converter=_floats)

    @values.validator
    def _not_empty(self, _: object, value: tuple[float, ...]) -> None:
        if not value:
            raise ValueError("a sample needs at least one value")

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        return self.percentile(95)

    def percentile(self, percent: float) -> float:
        """The value below which `percent` of the values lie, interpolated between neighbours."""
        ordered = sorted(self.values)
        place = (len(ordered) - 1) * percent / 100
        low, high = math.floor(place), math.ceil(place)
        return ordered[low] + (ordered[high] - ordered[low]) * (place - low)

    def scaled(self, factor: float) -> Sample:
        return Sample(value * factor for value in self.values)

    def statistic(self, name: str) -> float:
        """The value called `median`, `p95`, `mean` or `max`.

        Raises: ValueError for any other name.
        """
        if name == "max":
            return max(self.values)
        if name not in ("median", "p95", "mean"):
            raise ValueError(f"no such statistic: {name}")
        return float(getattr(self, name))


class Verdict(Enum):
    """How a measurement stands to its budget."""

    PASS = "pass"
    MISS = "MISS"
    OPEN = "-"  # no budget, or one half was not measured


@attrs.frozen
class Limit:
    """One part of a budget: a statistic of ours, or its ratio to theirs, and the most it may be."""

    at_most: float
    statistic: str = "median"
    ratio: bool = False

    def value(self, ours: Sample | None, theirs: Sample | None) -> float | None:
        """What is held against `at_most`; None if that was not measured."""
        if ours is None or (self.ratio and theirs is None):
            return None
        value = ours.statistic(self.statistic)
        if not self.ratio or theirs is None:
            return value
        base = theirs.statistic(self.statistic)
        return value / base if base > 0 else math.inf

    def text(self, unit: str) -> str:
        name = "" if self.statistic == "median" else f"{self.statistic} "
        return f"{name}<= {self.at_most:g}{' x' if self.ratio else ' ' + unit}"


@attrs.frozen
class Measurement:
    """One line of the report: ours beside theirs.

    `against` says what theirs is, `reference` is the figure of the reference implementation as
    text, `note` is what a reader must know about how it was measured.
    """

    name: str
    unit: str
    ours: Sample | None
    theirs: Sample | None = None
    against: str = ""
    limits: tuple[Limit, ...] = ()
    reference: str = ""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """PASS only if every limit could be checked and holds; MISS as soon as one does not."""
        values = [limit.value(self.ours, self.theirs) for limit in self.limits]
        known = [(v, limit) for v, limit in zip(values, self.limits, strict=True) if v is not None]
        if any(value > limit.at_most for value, limit in known):
            return Verdict.MISS
        if not self.limits or len(known) < len(self.limits):
            return Verdict.OPEN
        return Verdict.PASS

    def ratio(self, statistic: str = "median") -> float | None:
        return Limit(0, statistic, ratio=True).value(self.ours, self.theirs)

    @property
    def budget(self) -> str:
        return ", ".join(limit.text(self.unit) for limit in self.limits)


def clocked(work: Callable[[], object]) -> float:
    """Do the work once; the seconds it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleave(
    sides: Sequence[Callable[[], float]], rounds: int, *, block: int = 1, warm_up: int = 1
) -> list[Sample]:
    """Measure several sides in turns, one sample for each.

    A side does its work once per call and returns what it measured, so it can keep set-up and
    cleanup off the clock. Each turn is `block` calls in a row: what a side leaves to do in the
    background then slows its own next call, not its neighbour's. Who begins alternates by round.
    The first `warm_up` calls of each side are thrown away.
    """
    values: list[list[float]] = [[] for _ in sides]
    for side in sides:
        for _ in range(warm_up):
            side()
    for turn in range(rounds):
        order = range(len(sides)) if turn % 2 == 0 else reversed(range(len(sides)))
        for place in order:
            values[place].extend(sides[place]() for _ in range(block))
    return [Sample(found) for found in values]
