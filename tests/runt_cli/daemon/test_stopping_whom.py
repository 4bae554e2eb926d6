"""Stopping the daemon signals the daemon, and never a process that only has its id."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from runt_cli.daemon import control, process
from runt_cli.daemon.process import daemon_pid, is_alive, stop_daemon
from runt_cli.failure import Fail
from runtimed.client.daemon_client import DaemonClient
from runtimed.doctor.site import alone
from runtimed.kernels.registry import record_process
from runtimed.paths import Paths

pytestmark = pytest.mark.real


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(base=tmp_path, socket=tmp_path / "runtimed.sock")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running
        running.kill()


def _leave_record(paths: Paths, pid: int, **changes: object) -> None:
    record = record_process(pid)
    content = {"pid": pid, "started": record.started, "boot": record.boot, "role": "daemon"}
    paths.lock.write_bytes(orjson.dumps(content | changes))


@pytest.mark.parametrize("left", ["bare", "start", "boot"])
def test_who_got_the_id_of_a_daemon_that_is_gone_lives_on(
    paths: Paths, sleeper: subprocess.Popen[bytes], left: str
) -> None:
    if left == "bare":
        paths.lock.write_text(f"{sleeper.pid}\n")
    else:
        _leave_record(paths, sleeper.pid, **({"started": "1"} if left == "start" else {left: "x"}))
    with paths.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Fail, match="does not name its process"):
            stop_daemon(paths)
    assert sleeper.poll() is None


def test_repairs_are_no_daemon(paths: Paths, sleeper: subprocess.Popen[bytes]) -> None:
    paths.lock.write_text(f"{sleeper.pid}\n")
    with alone(paths) as free:
        assert free
        assert not is_alive(paths)
        assert stop_daemon(paths) is None
    assert paths.lock.read_bytes() == b""
    assert sleeper.poll() is None


@pytest.mark.parametrize("descriptors", [True, False])
def test_a_daemon_that_does_not_answer_is_ended(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, descriptors: bool
) -> None:
    if not descriptors:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.setattr(process, "STOP_LIMIT", 2.0)
    program = (
        "import fcntl, signal, sys\n"
        "lock = open(sys.argv[1])\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('held', flush=True)\n"
        "signal.pause()\n"
    )
    paths.lock.touch()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(paths.lock)], stdout=subprocess.PIPE
    ) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        _leave_record(paths, deaf.pid)
        assert daemon_pid(paths) == deaf.pid
        assert stop_daemon(paths) == deaf.pid
        assert deaf.wait() == -9


def test_another_program_at_the_socket_is_not_said_to_be_ended_by_us(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DaemonClient, "ping", lambda client: False)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(paths.socket))
        foreign.listen()
        with pytest.raises(Fail, match="Another program, no daemon of yours, listens at"):
            control.start(paths)
        with pytest.raises(Fail, match="Another program, no daemon of yours, listens at"):
            control.restart(paths)
