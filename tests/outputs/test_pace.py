from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from runtimed.outputs.pace import Pace


def shown(pauses: list[float]) -> tuple[list[float], list[float]]:
    """When things came, and when something was shown: each as soon as it is due."""
    pace, now, came, times = Pace(), 100.0, [], []
    waiting: float | None = None
    for pause in pauses:
        while waiting is not None and waiting <= now + pause:
            pace.shown(waiting)
            times.append(waiting)
            waiting = None
        now += pause
        came.append(now)
        waiting = pace.due(now) if waiting is None else waiting
    if waiting is not None:
        times.append(waiting)
    return came, times


def test_what_comes_seldom_is_shown_at_once_however_long_it_goes_on() -> None:
    came, times = shown([0.25] * 5000)
    assert times == came


def test_what_comes_without_a_pause_is_shown_ever_less_often() -> None:
    _, times = shown([0.01] * 10_000)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert max(gaps[:5]) < 0.2
    assert min(gaps[40:]) > 0.9
    assert len(times) < 10_000 * 0.01 + 40


def test_after_a_rest_it_is_quick_again() -> None:
    _, times = shown([0.01] * 10_000 + [30.0] * 6 + [0.01] * 30)
    recent = times[-3:]
    assert recent[-1] - recent[0] < 0.3


@given(st.lists(st.floats(0, 3), max_size=80))
def test_nothing_waits_longer_than_a_second(pauses: list[float]) -> None:
    came, times = shown(pauses)
    for moment in came:
        assert any(moment <= time <= moment + 1.0 + 1e-9 for time in times)
