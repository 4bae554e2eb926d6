"""Programs that the daemon runs, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import trio

from processes import wait_none_carrying
from runtimed.environments.programs import run_program
from runtimed.errors import EnvironmentBuildFailed

pytestmark = pytest.mark.real

#: Writes the ids of itself and of a child, and then both go on for long.
_LONG = "sleep 600 & echo $$ $! > begun.part; mv begun.part begun; wait"

_MARK = "RUNTIMED_TEST_PROGRAM"


def environ(folder: Path) -> dict[str, str]:
    return {**os.environ, _MARK: str(folder)}


async def test_how_a_program_ended_and_what_it_wrote_is_told(tmp_path: Path) -> None:
    async def run(script: str) -> tuple[int, str, str]:
        with trio.fail_after(30):
            argv = ["sh", "-c", script, "name", "a b", "$HOME"]
            done = await run_program(argv, environ=environ(tmp_path), cwd=tmp_path, limit=30)
        return done.returncode, done.stdout, done.complaint

    assert await run('cat; printf "%s," "$@"; pwd') == (0, f"a b,$HOME,{tmp_path}\n", "")
    assert await run("echo no >&2; exit 3") == (3, "", "no")
    code, _, complaint = await run("kill -9 $$")
    assert code == -signal.SIGKILL
    assert complaint.endswith("it was killed (SIGKILL)")
    assert not wait_none_carrying(_MARK, str(tmp_path), 30)


async def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    async def run() -> None:
        argv = ["sh", "-c", _LONG]
        with pytest.raises(trio.TooSlowError):
            await run_program(argv, environ=environ(tmp_path), cwd=tmp_path, limit=2)

    with trio.fail_after(30):
        await run()
    assert not wait_none_carrying(_MARK, str(tmp_path), 30)


def test_a_program_ends_with_its_children_when_the_daemon_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, trio
from pathlib import Path
from runtimed.environments.programs import run_program
argv = ["sh", "-c", {_LONG!r}]
trio.run(lambda: run_program(argv, environ=os.environ, cwd=Path({str(tmp_path)!r}), limit=60))
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environ(tmp_path)) as daemon:
        begun = time.monotonic() + 30
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < begun
            time.sleep(0.02)
        for word in (tmp_path / "begun").read_text().split():
            assert psutil.Process(int(word)).is_running()
        daemon.kill()
    assert not wait_none_carrying(_MARK, str(tmp_path), 30)


async def test_a_program_that_is_missing_is_told_readably(tmp_path: Path) -> None:
    with trio.fail_after(30), pytest.raises(EnvironmentBuildFailed, match="Failed to run"):
        await run_program([str(tmp_path / "no")], environ={}, cwd=tmp_path, limit=1)
