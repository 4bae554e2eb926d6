"""Progress that goes on being told while nothing new happens."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from runtimed.environments.builder import Report
from runtimed.environments.repeating import REPEAT_AFTER, repeating
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

VENV = progress.CreatingVenv()
INSTALLING = progress.InstallingPackages(packages=("numpy",))
READY = progress.Ready(env_path="/e", python_path="/e/bin/python")


async def test_a_step_that_lasts_is_told_again_and_again(autojump_clock: MockClock) -> None:
    told: list[progress.Phase] = []

    async def work(report: Report) -> str:
        await trio.sleep(5 * REPEAT_AFTER)
        assert told == [], "there is nothing to tell yet"
        report(VENV)
        await trio.sleep(0.9 * REPEAT_AFTER)
        report(INSTALLING)
        await trio.sleep(3.5 * REPEAT_AFTER)
        report(READY)
        await trio.sleep(5 * REPEAT_AFTER)
        return "done"

    assert await repeating(told.append, work) == "done"
    assert told == [VENV, *[INSTALLING] * 4, READY]


async def test_steps_that_come_often_are_told_once(autojump_clock: MockClock) -> None:
    told: list[progress.Phase] = []
    steps = [progress.LinkProgress(number, 30, "numpy") for number in range(30)]

    async def work(report: Report) -> None:
        for step in steps:
            report(step)
            await trio.sleep(0.6 * REPEAT_AFTER)

    await repeating(told.append, work)
    assert told == steps


async def test_a_failure_comes_as_it_is_and_ends_the_telling(autojump_clock: MockClock) -> None:
    told: list[progress.Phase] = []

    async def work(report: Report) -> None:
        report(VENV)
        raise EnvironmentBuildFailed("no such package")

    with pytest.raises(EnvironmentBuildFailed, match="no such package"):
        await repeating(told.append, work)
    await trio.sleep(5 * REPEAT_AFTER)
    assert told == [VENV]


async def test_it_can_be_cancelled(autojump_clock: MockClock) -> None:
    told: list[progress.Phase] = []

    async def work(report: Report) -> None:
        report(VENV)
        await trio.sleep_forever()

    with trio.move_on_after(2.5 * REPEAT_AFTER) as scope:
        await repeating(told.append, work)
    assert scope.cancelled_caught
    assert told == [VENV] * 3
