from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimed.client import connect
from runtimed.client.connect import ensure_daemon
from runtimed.errors import DaemonUnreachable
from runtimed.own_programs import own_program
from runtimed.paths import Paths

pytestmark = pytest.mark.real

PYTHON = sys.executable

LISTEN = """
import json, os, pathlib, socket, sys, time
time.sleep(0.05)
s = socket.socket(socket.AF_UNIX)
s.bind({socket!r})
s.listen()
pathlib.Path({socket!r}).with_name("daemon.json").write_text(json.dumps(dict(pid=os.getpid())))
time.sleep(600)
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    base = tmp_path / "base"
    return Paths(base=base, socket=base / "runtimed.sock")


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch, paths: Paths) -> Iterator[list[list[str]]]:
    """Replaces the daemon by a program that only listens; gives what was started."""
    started: list[list[str]] = []
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def spawn(args: list[str], **options: object) -> object:
        started.append(args)
        program = LISTEN.format(socket=str(paths.socket))
        process = popen([PYTHON, "-c", program], **options)  # type: ignore[call-overload]
        processes.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", spawn)
    yield started
    for process in processes:
        process.kill()
        process.wait()


def test_a_daemon_is_started_once_and_announced(
    paths: Paths, spawned: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    threads = [threading.Thread(target=ensure_daemon, args=(paths,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ensure_daemon(paths)
    assert spawned == [own_program("runtimed", "run")]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("runtimed: started a daemon (pid ")
    assert err.endswith(f", log {paths.log})\n")
    assert err.count("\n") == 1
    assert paths.base.stat().st_mode & 0o077 == 0
    assert paths.log.stat().st_mode & 0o077 == 0


def test_a_daemon_that_does_not_come_up_is_an_error_that_names_its_log(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "_RACE_TIMEOUT", 0.05)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DaemonUnreachable) as caught:
        ensure_daemon(paths)
    assert "ended with exit code 1" in str(caught.value)
    assert str(paths.log) in str(caught.value)


def test_a_daemon_that_loses_the_race_is_no_error(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    paths.base.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as winner:

        def win() -> None:
            winner.bind(str(paths.socket))
            winner.listen()

        threading.Timer(0.2, win).start()
        ensure_daemon(paths)
    assert capsys.readouterr().err == ""


def test_a_named_socket_is_never_served_by_us(paths: Paths, spawned: list[list[str]]) -> None:
    explicit = Paths(base=paths.base, socket=paths.socket, explicit=True)
    with pytest.raises(DaemonUnreachable, match="RUNTIMED_SOCKET_PATH is set"):
        ensure_daemon(explicit)
    assert spawned == []


def test_a_program_that_cannot_be_run_is_an_error(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(DaemonUnreachable, match="can't be run: No such file"):
        ensure_daemon(paths)


def test_a_path_that_is_too_long_is_a_plain_connection_error(tmp_path: Path) -> None:
    paths = Paths(base=tmp_path, socket=tmp_path / ("x" * 200), explicit=True)
    with pytest.raises(DaemonUnreachable, match=r"^Failed to connect to daemon: .*too long"):
        connect.connect(paths)
