from __future__ import annotations

import math

import pytest
from benchmarks.measure import Limit, Measurement, Sample, Verdict, clocked, interleave
from hypothesis import given
from hypothesis import strategies as st

finite = st.floats(min_value=0, max_value=1e9, allow_nan=False)


def measured(ours: Sample | None, theirs: Sample | None, *limits: Limit) -> Measurement:
    return Measurement("row", "s", ours, theirs, limits=limits)


def test_a_sample_knows_its_statistics() -> None:
    sample = Sample([4, 1, 3, 2])
    assert (sample.median, sample.mean, sample.statistic("max")) == (2.5, 2.5, 4)
    assert sample.p95 == pytest.approx(3.85)
    assert sample.scaled(10).values == (40, 10, 30, 20)


def test_a_sample_of_one_value_is_that_value_everywhere() -> None:
    sample = Sample([7])
    assert {sample.statistic(name) for name in ("median", "p95", "mean", "max")} == {7}


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Sample([])


def test_an_unknown_statistic_is_refused() -> None:
    with pytest.raises(ValueError, match="no such statistic"):
        Sample([1]).statistic("values")


@given(st.lists(finite, min_size=1), st.floats(min_value=0, max_value=100))
def test_a_percentile_lies_within_the_values(values: list[float], percent: float) -> None:
    found = Sample(values).percentile(percent)
    assert min(values) <= found <= max(values) or math.isclose(found, max(values))


def test_a_limit_compares_ours_alone_or_as_a_ratio() -> None:
    ours, theirs = Sample([2, 4, 6]), Sample([1, 2, 3])
    assert Limit(5).value(ours, theirs) == 4
    assert Limit(5, ratio=True).value(ours, theirs) == 2
    assert Limit(5, "max").value(ours, theirs) == 6
    assert Limit(5, ratio=True).value(ours, None) is None
    assert Limit(5).value(None, theirs) is None
    assert Limit(5, ratio=True).value(ours, Sample([0])) == math.inf


def test_limits_read_as_in_the_budget() -> None:
    found = measured(Sample([1]), None, Limit(0.1), Limit(1.25, "p95", ratio=True))
    assert found.budget == "<= 0.1 s, p95 <= 1.25 x"


def test_a_measurement_passes_only_if_every_limit_holds() -> None:
    ours, theirs = Sample([2]), Sample([4])
    assert measured(ours, theirs, Limit(2), Limit(0.5, ratio=True)).verdict is Verdict.PASS
    assert measured(ours, theirs, Limit(2), Limit(0.4, ratio=True)).verdict is Verdict.MISS


def test_half_a_measurement_can_miss_but_not_pass() -> None:
    assert measured(Sample([2]), None, Limit(2), Limit(1, ratio=True)).verdict is Verdict.OPEN
    assert measured(Sample([3]), None, Limit(2), Limit(1, ratio=True)).verdict is Verdict.MISS
    assert measured(None, Sample([3]), Limit(2)).verdict is Verdict.OPEN


def test_without_a_budget_there_is_no_verdict() -> None:
    assert measured(Sample([1]), Sample([1])).verdict is Verdict.OPEN


def test_sides_take_turns_in_blocks_and_begin_alternately() -> None:
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    ours, theirs = interleave([lambda: side("o"), lambda: side("t")], 2, block=2, warm_up=1)
    assert "".join(calls) == "ot" + "oott" + "ttoo"
    assert ours.values == (3, 4, 9, 10)
    assert theirs.values == (5, 6, 7, 8)


def test_clocked_work_is_done_once() -> None:
    calls: list[int] = []
    assert clocked(lambda: calls.append(1)) >= 0
    assert calls == [1]
