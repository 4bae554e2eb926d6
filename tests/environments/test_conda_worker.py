"""Hearing a worker out: with workers that are small scripts and do what real ones should not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from runtimed.environments.conda.channels import Channel
from runtimed.environments.conda.messages import Order
from runtimed.environments.conda.solving import Limits, solve_and_link
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

pytestmark = pytest.mark.real

SAY = "import json, os, sys, time\ndef say(**line): print(json.dumps(line), flush=True)\n"


class Worker:
    """A script in the place of the worker, which is gone each time afterwards."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._script = folder / "worker"
        self._pid = folder / "pid"
        monkeypatch.setattr("runtimed.environments.conda.solving._WORKER", (str(self._script),))

    async def run(self, code: str, limits: Limits | None = None) -> list[progress.Phase]:
        pid = f"open({str(self._pid)!r}, 'w').write(str(os.getpid()))\n"
        self._script.write_text(f"#!{sys.executable} -IS\n{SAY}{pid}{code}\n")
        self._script.chmod(0o755)
        told: list[progress.Phase] = []
        order = Order("/nowhere", [], [Channel("a", "u:a"), Channel("b", "u:b")], "/cache")
        try:
            with trio.fail_after(30):
                await solve_and_link(order, told.append, limits=limits or Limits())
        finally:
            with pytest.raises(ProcessLookupError):
                os.kill(int(self._pid.read_text()), 0)
        return told

    async def refused(self, code: str, limits: Limits | None = None) -> str:
        with pytest.raises(EnvironmentBuildFailed) as refused:
            await self.run(code, limits)
        return str(refused.value)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, monkeypatch)


async def test_what_it_says_is_reported_and_what_follows_the_end_is_not(worker: Worker) -> None:
    code = """
order = json.loads(sys.stdin.readline())
say(what="solving", spec_count=len(order["channels"]))
say(what="answered", url="u:a")
say(what="done")
say(what="solving", spec_count=3)
time.sleep(60)
"""
    assert await worker.run(code) == [progress.Solving(spec_count=2)]


async def test_its_last_words_are_in_the_error(worker: Worker) -> None:
    error = await worker.refused("sys.exit('no such library')")
    assert error == "The conda worker ended unexpectedly (exit code 1): no such library"


async def test_nonsense_ends_it(worker: Worker) -> None:
    assert "ended unexpectedly" in await worker.refused("print('hello', flush=True)")


async def test_a_line_without_end_ends_it(worker: Worker) -> None:
    assert "ended unexpectedly" in await worker.refused("while True: sys.stdout.write('x' * 65536)")


async def test_only_channels_that_keep_silent_are_blamed(worker: Worker) -> None:
    code = """
say(what="fetching_repodata", channels=["a", "b"])
say(what="answered", url="u:a")
time.sleep(60)
"""
    error = await worker.refused(code, Limits(metadata=2))
    assert "no answer within 2 seconds from b (u:b)." in error


async def test_a_solve_has_a_limit(worker: Worker) -> None:
    code = """
say(what="solving", spec_count=1)
time.sleep(60)
"""
    error = await worker.refused(code, Limits(solve=1))
    assert error.startswith("Failed to solve dependencies: nothing found within 1 seconds")


async def test_progress_postpones_the_end_but_not_for_ever(worker: Worker) -> None:
    code = """
say(what="installing", total=1)
while True:
    say(what="link_progress", completed=0, total=1, current_package="x")
    time.sleep(0.1)
"""
    error = await worker.refused(code, Limits(stall=1, install=2))
    assert "not done within 2 seconds" in error
