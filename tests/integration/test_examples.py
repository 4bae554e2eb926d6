"""The examples for several clients, run as a reader would run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daemon_home import DaemonHome

pytestmark = pytest.mark.real

EXAMPLES = Path(__file__).parents[2] / "examples"

AGENT = [
    "agent: started as 1",
    "agent: output 0 stream",
    "agent: output 1 execute_result",
    "agent: reads '0 1 4 9 16\\n'",
    "agent: reads '30'",
    "agent: saved squares.ipynb",
]
WATCHER = ["watcher: saw the cell grow: True", "watcher: output '0 1 4 9 16\\n'"]


def run(home: DaemonHome, name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        env=home.env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["agent_trio.py", "agent_asyncio.py"])
def test_an_agent_streams_into_a_notebook_that_somebody_watches(
    daemon_home: DaemonHome, name: str
) -> None:
    lines = run(daemon_home, name)
    assert [line for line in lines if line.startswith("agent")] == AGENT
    assert [line for line in lines if line.startswith("watcher")] == WATCHER


def test_clients_of_every_kind_share_one_kernel(daemon_home: DaemonHome) -> None:
    assert run(daemon_home, "multi_client.py") == [
        "s2 executes: 42",
        "s1 hears of it: 42",
        "asyncio 43",
        "trio 44",
        "and the threads: 644",
        "cells: 8",
    ]
