"""What commands do about a daemon that is there and does not answer: a bound, and a name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from daemon_home import DaemonHome
from waiting import LIMIT

pytestmark = pytest.mark.real


@pytest.fixture
def hung(bare_daemon: Callable[..., DaemonHome]) -> Iterator[DaemonHome]:
    home = bare_daemon()
    os.kill(home.pid, signal.SIGSTOP)
    try:
        yield home
    finally:
        os.kill(home.pid, signal.SIGCONT)


def test_every_command_ends_and_says_what_hangs(hung: DaemonHome) -> None:
    what = (
        f"the daemon (pid {hung.pid}, socket {hung.socket}) has not answered for 5 seconds. It "
        f"hangs or is overloaded: see 'runt logs', try 'runt daemon restart', "
        f"or kill -9 {hung.pid}\n"
    )
    expected = {
        "daemon ping": f"Daemon hangs: {what}",
        "daemon flush": f"Failed to flush pool: {what}",
        "daemon shutdown": f"Failed to shutdown daemon: {what}",
        "ps": f"Failed to list notebooks: {what}",
        "notebooks": f"Failed to list notebooks: {what}",
        "stop --all": f"Failed to shutdown notebook: {what}",
        "inspect x": f"Failed to inspect notebook: {what}",
        "interrupt x": f"Failed to interrupt notebook: {what}",
        "exec 1": f"Daemon hangs: {what}",
        "run empty.ipynb": f"Daemon hangs: {what}",
    }
    (hung.home / "empty.ipynb").write_text("")
    # Side by side, since each of them waits.
    commands = [*expected, "daemon status", "daemon status --json", "doctor", "doctor --fix"]
    running = {
        command: subprocess.Popen(
            [sys.executable, "-m", "runt_cli", *command.split()],
            env=hung.env,
            cwd=hung.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    }
    done = {command: process.communicate(timeout=LIMIT) for command, process in running.items()}
    for command, line in expected.items():
        assert (running[command].returncode, *done[command]) == (1, "", line)
    text, _ = done["daemon status"]
    assert running["daemon status"].returncode == 0
    assert f"Daemon running:     no: it does not answer (pid {hung.pid})\n" in text
    report = json.loads(done["daemon status --json"][0])
    assert (report["running"], report["pool_stats"]) == (False, None)
    for command in ("doctor", "doctor --fix"):
        text, errors = done[command]
        assert (running[command].returncode, errors) == (1, "")
        assert f"[error] The daemon takes connections and does not answer (pid {hung.pid})" in text
        assert (
            "why: Its process is stopped, as by SIGSTOP or Ctrl-Z\n      to do: kill -CONT" in text
        )
        assert "Actions taken" not in text
    assert hung.socket.exists()
    assert hung.paths.info.exists()
