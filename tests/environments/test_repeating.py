"""Progress that goes on being told while nothing new happens."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio
from fake_maker import FakeMaker
from trio.testing import MockClock, wait_all_tasks_blocked

from runtimed.environments.builder import Report
from runtimed.environments.cache import EnvironmentCache
from runtimed.environments.own_copies import OwnCopies
from runtimed.environments.repeating import REPEAT_AFTER, repeating
from runtimed.environments.wanted import Choice, UvPackages
from runtimed.errors import EnvironmentBuildFailed
from runtimed.kernels.preparation import Preparation
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


async def test_who_waits_for_a_kernel_hears_that_its_environment_is_still_being_built(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    maker = FakeMaker()
    maker.gate = trio.Event()
    cache = EnvironmentCache(tmp_path / "envs", {UvPackages: lambda: maker})
    preparation = Preparation({}, cache, OwnCopies(cache))
    choice = Choice("python", "uv:inline", UvPackages(("numpy",)))
    told: list[progress.Phase] = []
    give_up = time.monotonic() + 30
    async with trio.open_nursery() as nursery:
        nursery.start_soon(preparation.prepare, choice, tmp_path, told.append)
        while told.count(INSTALLING) < 3:
            assert time.monotonic() < give_up
            mock_clock.jump(REPEAT_AFTER)
            await wait_all_tasks_blocked()
            time.sleep(0.002)  # noqa: ASYNC251  # for the threads
        maker.gate.set()
    assert isinstance(told[-1], progress.Ready)
