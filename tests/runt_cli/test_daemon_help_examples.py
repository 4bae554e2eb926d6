"""Every example in the help of the commands that look at the daemon, run as it stands there."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pool_answers import run_command
from test_help_examples import examples

from daemon_home import DaemonHome
from runtimed.paths import default_paths
from waiting import wait_until

pytestmark = pytest.mark.real

#: The one that ends the daemon comes last.
COMMANDS = (
    "status",
    "logs",
    "doctor",
    "completion",
    "daemon ping",
    "daemon flush",
    "daemon shutdown",
)


def test_examples_work_as_they_stand(
    bare_daemon: Callable[..., DaemonHome], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = bare_daemon()
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(home.home)
    with default_paths().log.open("a") as log:  # as if the examples' notebook had been open
        log.write("2026-03-15 10:00:00 [INFO] runtimed: room closed room=/n/analysis.ipynb\n")
    for command in COMMANDS:
        found = examples(*command.split())
        assert any(f"runt {command}" in example for example in found)
        for example in found:
            if example == "runt logs -f":  # has a test of its own: it never ends
                continue
            if "&&" in example or "||" in example:
                shell = subprocess.run(["bash", "-c", example], capture_output=True, text=True)
                code, errors = shell.returncode, shell.stderr
            else:
                done = run_command(*shlex.split(example)[1:])
                code, errors = done.exit_code, done.stderr
            assert (example, code, errors) == (example, 0, "")
    assert home.process is not None
    assert home.process.wait(30) == 0


def test_the_examples_of_daemon_run_are_daemons(bare_daemon: Callable[..., DaemonHome]) -> None:
    home = bare_daemon()
    runt = [sys.executable, "-m", "runt_cli"]
    assert home.runt("daemon", "stop").returncode == 0
    shown = subprocess.run([*runt, "daemon", "run", "-h"], capture_output=True, text=True)
    _, _, listed = shown.stdout.partition("Examples:\n")
    found = [line.strip() for line in listed.splitlines() if line.startswith("    runt")]
    assert len(found) == 2
    for example in found:
        with subprocess.Popen([*runt, *shlex.split(example)[1:]], env=home.env) as daemon:
            wait_until(lambda: home.runt("daemon", "ping").returncode == 0)
            daemon.terminate()
            assert daemon.wait(30) == 0
