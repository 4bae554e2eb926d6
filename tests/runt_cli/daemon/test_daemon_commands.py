"""`runt daemon ...` and `runt logs` with a real daemon."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from daemon_home import MARKER, DaemonHome
from processes import wait_none_carrying

pytestmark = pytest.mark.real

_NO_POOL = ("--uv-pool-size", "0", "--conda-pool-size", "0")


def _alive(pid: int) -> bool:
    try:
        # A zombie has ended; whoever became its parent takes its time.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _json(home: DaemonHome, *command: str) -> Any:
    done = home.runt(*command, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_start_ping_stop(fresh_daemon: Callable[..., DaemonHome]) -> None:
    home = fresh_daemon(start=False)
    started = home.runt("daemon", "start")
    assert started.returncode == 0, started.stderr
    pid = _json(home, "status")["daemon_info"]["pid"]
    assert started.stdout == f"Daemon started (pid {pid}).\n"
    assert "pid" not in started.stderr
    assert home.runt("daemon", "start").stdout == f"Daemon already running (pid {pid}).\n"
    assert home.runt("daemon", "ping").stdout == "pong\n"

    stopped = home.runt("daemon", "stop")
    assert (stopped.returncode, stopped.stdout, stopped.stderr) == (0, "Daemon stopped.\n", "")
    assert not _alive(pid)
    assert not home.socket.exists()
    assert not home.paths.info.exists()
    assert wait_none_carrying(MARKER, str(home.home), 30) == []


def test_restart_puts_another_daemon_in_its_place(
    fresh_daemon: Callable[..., DaemonHome],
) -> None:
    home = fresh_daemon(start=False)
    first = home.runt("daemon", "restart")
    assert first.returncode == 0, first.stderr
    before = _json(home, "status")["daemon_info"]["pid"]
    second = home.runt("daemon", "restart")
    after = _json(home, "status")["daemon_info"]["pid"]
    assert second.stdout == f"Daemon stopped.\nDaemon started (pid {after}).\n"
    assert before != after
    shut = home.runt("daemon", "shutdown")
    assert shut.stdout == "Shutdown request sent\nDaemon stopped.\n"
    assert not _alive(after)


def test_a_daemon_that_does_not_answer_is_terminated(
    fresh_daemon: Callable[..., DaemonHome],
) -> None:
    home = fresh_daemon(*_NO_POOL)
    home.socket.unlink()
    stopped = home.runt("daemon", "stop")
    assert (stopped.returncode, stopped.stdout) == (0, "Daemon stopped.\n")
    assert home.process is not None
    assert home.process.wait(30) == 0


def test_start_at_an_explicit_socket(fresh_daemon: Callable[..., DaemonHome]) -> None:
    home = fresh_daemon(start=False)
    socket = home.home / "own" / "d.sock"
    socket.parent.mkdir(mode=0o700)
    home.env["RUNTIMED_SOCKET_PATH"] = str(socket)
    assert home.runt("daemon", "start").returncode == 0
    assert _json(home, "status")["socket_path"] == str(socket)
    assert home.runt("daemon", "stop").returncode == 0


def test_daemon_run_is_the_daemon_itself(fresh_daemon: Callable[..., DaemonHome]) -> None:
    home = fresh_daemon(start=False)
    done = home.runt("daemon", "run", "--help")
    assert done.returncode == 0
    assert "--uv-pool-size" in done.stdout


def test_status_of_a_running_daemon(daemon_home: DaemonHome) -> None:
    report = _json(daemon_home, "status")
    assert report["running"] is True
    assert report["daemon_info"]["pid"] == daemon_home.pid
    assert report["daemon_info"]["endpoint"] == str(daemon_home.socket)
    assert report["blob_url"] == f"http://127.0.0.1:{report['daemon_info']['blob_port']}"
    assert report["pool_stats"]["uv_target"] == 2
    text = daemon_home.runt("status").stdout
    assert f"PID:                {daemon_home.pid}\n" in text
    assert "Version:            0.1.0\n" in text
    assert re.search(
        r"^  UV: +\d/2 ready( \(\d warming\))?, \d/1 with a running kernel$", text, re.M
    )
    assert "  Conda:            off\n" in text
    assert re.search(r"^Notebooks: +\d+ open, \d+ with a kernel$", text, re.M)
    # What other tests have left there, which a busy machine may take too long to count.
    assert re.search(r"^Blobs: +(about )?\d+, (about )?[\d.]+ [kMG]?B$", text, re.M)


def test_a_stale_info_file_is_not_taken_for_a_daemon(
    fresh_daemon: Callable[..., DaemonHome],
) -> None:
    home = fresh_daemon(*_NO_POOL)
    home.kill()
    report = _json(home, "status")
    assert report["running"] is False
    assert report["daemon_info"]["pid"] > 0
    assert report["blob_url"] is None
    text = home.runt("status").stdout
    assert "PID:" not in text
    line = (
        f"Daemon running:     no (one that ended without a word had pid {home.pid}): "
        "'runt doctor' says what it left, 'runt daemon start' starts another\n"
    )
    assert line in text
    assert home.runt("doctor").returncode == 1
    fixed = home.runt("doctor", "--fix")
    assert fixed.returncode == 0, fixed.stdout
    assert "done: Removed stale daemon.json" in fixed.stdout
    assert _json(home, "status")["daemon_info"] is None
    assert home.runt("daemon", "stop").stderr == "Daemon not running.\n"


def test_a_running_daemon_is_healthy(bare_daemon: Callable[..., DaemonHome]) -> None:
    home = bare_daemon()  # the shared one has environments that killed daemons have left
    done = home.runt("doctor", "--json")
    report = json.loads(done.stdout)
    assert [one for one in report["findings"] if one["status"] in ("warning", "error")] == []
    assert (done.returncode, report["diagnosis"]) == (0, "Daemon is healthy and running.")
    assert report["daemon_state"]["detail"] == f"PID {home.pid} running"
    assert [report[key]["status"] for key in ("socket_file", "daemon_running")] == ["ok", "ok"]
    assert report["daemon_running"]["detail"] is None


def test_the_log_is_shown_and_followed(daemon_home: DaemonHome) -> None:
    shown = daemon_home.runt("logs", "-n", "1")
    assert shown.returncode == 0
    assert shown.stdout.count("\n") == 1
    following = subprocess.Popen(
        [sys.executable, "-m", "runt_cli", "logs", "-f", "-n", "1"],
        env=daemon_home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert following.stdout is not None
    assert following.stdout.readline()  # it has begun
    with daemon_home.paths.log.open("a") as log:
        log.write("a line of the test's\n")
    # Whatever the daemon logs meanwhile comes, too.
    while (line := following.stdout.readline()) != b"a line of the test's\n":
        assert line, "it has ended"
    following.send_signal(signal.SIGINT)
    _, err = following.communicate(timeout=60)
    assert following.returncode == 130
    assert err.strip() == b""


def test_what_a_room_does_is_logged_under_its_name(
    daemon_home: DaemonHome, session_factory: Callable[..., Any]
) -> None:
    notebook = daemon_home.home / "logged with blanks.ipynb"
    session_factory(notebook_id=str(notebook))
    shown = daemon_home.runt("logs", "--json", "--notebook", notebook.name)
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    assert records[0]["message"] == f'room opened room="{notebook}"'
    assert all(record["fields"]["room"] == str(notebook) for record in records)
    assert daemon_home.runt("logs", "--notebook", "elsewhere.ipynb").stdout == ""


def test_flush_says_what_it_did(fresh_daemon: Callable[..., DaemonHome]) -> None:
    done = fresh_daemon(*_NO_POOL).runt("daemon", "flush")
    assert (done.returncode, done.stdout) == (0, "Pool flushed — environments will be rebuilt\n")
