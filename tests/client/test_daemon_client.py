from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon

from runtimed import DaemonClient, RuntimedError, Session
from runtimed.errors import DaemonSilent

pytest_plugins = ["fake_daemon_fixture"]
pytestmark = pytest.mark.real


def test_a_daemon_answers(daemon: FakeDaemon) -> None:
    client = DaemonClient()
    assert client.ping()
    assert client.is_running()
    assert repr(client) == "DaemonClient(connected)"
    assert client.status() == {
        "uv_available": 2,
        "uv_warming": 1,
        "uv_target": 3,
        "conda_available": 0,
        "conda_warming": 0,
        "conda_target": 0,
    }
    client.flush_pool()
    client.shutdown()


def test_rooms_have_all_keys_whether_or_not_there_is_a_kernel(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.connect()
        (room,) = DaemonClient().list_rooms()
    assert (room["notebook_id"], room["active_peers"], room["has_kernel"]) == ("n", 1, False)
    assert room["kernel_type"] is None
    assert room["kernel_status"] is None
    assert room["env_source"] is None


def test_an_error_of_the_daemon_is_passed_on(daemon: FakeDaemon) -> None:
    with pytest.raises(RuntimedError, match=r"^Daemon returned error: no such thing here$"):
        DaemonClient().shutdown_notebook("n")


def test_without_a_daemon_only_questions_about_its_life_are_answered(tmp_path: Path) -> None:
    client = DaemonClient(tmp_path / "none.sock")
    assert not client.ping()
    assert not client.is_running()
    assert repr(client) == "DaemonClient(disconnected)"
    for call in (client.status, client.list_rooms, client.flush_pool, client.shutdown):
        with pytest.raises(RuntimedError, match=r"^Failed to connect to daemon: No such file"):
            call()


def test_the_socket_is_that_of_the_moment_of_construction(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = DaemonClient()
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(tmp_path / "other.sock"))
    assert client.ping()
    assert not DaemonClient().ping()


def test_a_process_that_does_not_answer_is_running_all_the_same(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    client = DaemonClient(tmp_path / "d.sock")
    info = tmp_path / "daemon.json"
    info.write_text(json.dumps({"pid": os.getpid()}))
    assert client.is_running()
    for garbage in ("", "[]", '{"pid": "x"}', '{"pid": 99999999999999}'):
        info.write_text(garbage)
        assert not client.is_running()


def test_something_else_behind_the_socket_is_no_daemon(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d.sock"))
        listener.listen()
        client = DaemonClient(tmp_path / "d.sock", timeout=0.1)
        assert not client.ping()
        with pytest.raises(DaemonSilent, match=r"^Connection timed out: the daemon \(") as raised:
            client.status()
        assert (raised.value.pid, raised.value.seconds) == (os.getpid(), 0.1)


def test_asking_does_not_import_trio(daemon: FakeDaemon) -> None:
    program = """
import sys, runtimed
assert runtimed.DaemonClient().ping()
assert not {"trio", "automerge", "nbformat", "zmq"} & set(sys.modules), sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
