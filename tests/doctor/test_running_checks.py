from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import attrs
import pytest

from in_process import Runt
from runtimed import __version__
from runtimed.daemon.singleton import DaemonInfo, hold_lock
from runtimed.doctor.checkup import examine, mend
from runtimed.doctor.report import Report, health_report
from runtimed.doctor.running import daemon, info_file, socket_file, socket_path, version
from runtimed.doctor.site import DaemonState, Site, user_site
from runtimed.paths import Paths


@pytest.fixture
def runt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runt:
    runt = Runt(tmp_path, monkeypatch)
    runt.paths.base.mkdir(parents=True, mode=0o700)
    return runt


def _leave_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


def _leave_info(paths: Paths, pid: int) -> None:
    info = {"endpoint": str(paths.socket), "pid": pid, "version": __version__, "started_at": "x"}
    paths.info.write_text(json.dumps(info))


def _running(site: Site, version: str = __version__) -> Site:
    info = DaemonInfo(endpoint="", pid=7, version=version, started_at="")
    return attrs.evolve(site, daemon=DaemonState(True, None, info))


def test_a_stale_socket_is_removed(runt: Runt) -> None:
    _leave_socket(runt.paths.socket)
    site = user_site()
    (finding,) = examine(site, [socket_file])
    assert (finding.status, finding.path) == ("warning", runt.paths.socket)
    assert runt.paths.socket.exists()
    (mended,) = mend(site, [finding])
    assert (mended.status, mended.done) == ("mended", "Removed stale socket file")
    assert examine(user_site(), [socket_file]) == []
    assert not runt.paths.socket.exists()


def test_a_socket_at_which_another_program_listens_is_left_alone(runt: Runt) -> None:
    _leave_socket(runt.paths.socket)
    site = user_site()
    (stale,) = examine(site, [socket_file])
    runt.paths.socket.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(runt.paths.socket))
        server.listen()
        # It came after the doctor looked, so it is looked at again before anything is removed.
        (mended,) = mend(site, [stale])
        assert mended.is_wrong
        assert mended.done.startswith("Nothing, for it failed")
        (finding,) = examine(site, [socket_file])
        assert (finding.name, finding.status, finding.repair) == ("socket-taken", "error", None)
        assert finding.what == "Another program listens at the daemon's socket"
        assert runt.paths.socket.exists()


def test_a_file_that_a_damaged_info_file_names_is_left_alone(runt: Runt) -> None:
    thesis = runt.home / "thesis.ipynb"
    thesis.write_text("mine")
    runt.paths.info.write_text(json.dumps({"endpoint": str(thesis)}))
    assert user_site().paths.socket == thesis
    assert "socket's place" not in runt("doctor", "--fix").output
    assert thesis.read_text() == "mine"
    assert not list(runt.home.glob("thesis.ipynb.*"))


def test_a_file_in_the_sockets_place_is_moved_aside(runt: Runt) -> None:
    runt.paths.socket.write_text("mine")
    site = user_site()
    (mended,) = mend(site, examine(site, [socket_file]))
    assert mended.status == "mended"
    assert runt.paths.socket.with_name("runtimed.sock.corrupt").read_text() == "mine"


@pytest.mark.parametrize(
    ("pid", "who"),
    [(os.getpid(), "which is another process now"), (2**22 + 1, "which is gone")],
)
def test_a_stale_info_file_is_removed_whoever_has_the_process_id(
    runt: Runt, pid: int, who: str
) -> None:
    _leave_info(runt.paths, pid)
    site = user_site()
    (finding,) = examine(site, [info_file])
    assert finding.what == f"The info file is stale (pid {pid}, {who})"
    (mended,) = mend(site, [finding])
    assert mended.done == "Removed stale daemon.json"
    assert not runt.paths.info.exists()


@pytest.mark.real
def test_a_process_that_nobody_has_waited_for_is_gone(runt: Runt) -> None:
    with subprocess.Popen(["true"]) as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        _leave_info(runt.paths, zombie.pid)
        report = health_report(user_site())
        (finding,) = [one for one in report.findings if one.name == "info-file"]
        assert finding.what == f"The info file is stale (pid {zombie.pid}, which is gone)"
        assert report.checks()["daemon_state"]["detail"] == f"PID {zombie.pid} not running"


def test_what_is_said_of_a_process_id_that_another_has_agrees(runt: Runt) -> None:
    _leave_info(runt.paths, os.getpid())
    report = health_report(user_site())
    (finding,) = [one for one in report.findings if one.name == "info-file"]
    assert "which is another process now" in finding.what
    detail = report.checks()["daemon_state"]["detail"]
    assert detail == f"PID {os.getpid()} is not a daemon's any more"


def test_of_a_daemon_that_is_well_there_is_no_more_to_say(runt: Runt) -> None:
    check = Report(_running(user_site()), []).checks()["daemon_running"]
    assert (check["status"], check["detail"]) == ("ok", None)


def test_a_damaged_info_file_is_stale_too(runt: Runt) -> None:
    runt.paths.info.write_text("{")
    (finding,) = examine(user_site(), [info_file])
    assert finding.what == "The info file is stale (it is damaged)"


def test_nothing_of_a_daemon_that_lives_is_touched(runt: Runt) -> None:
    paths = runt.paths
    _leave_socket(paths.socket)
    _leave_info(paths, os.getpid())
    before = user_site()
    found = examine(before, [socket_file, info_file])
    with hold_lock(paths.lock, paths.info):
        # Not for a doctor who comes now, nor for one who looked before it came.
        assert examine(user_site(), [socket_file, info_file]) == []
        for finding in mend(before, found):
            assert finding.is_wrong
            assert finding.done.startswith("Nothing, for a daemon runs")
        (unreachable,) = examine(user_site(), [daemon])
        assert unreachable.status == "error"
        assert f"pid {os.getpid()}" in unreachable.what
    assert paths.socket.exists()
    assert paths.info.exists()


def test_a_running_daemon_without_an_info_file_is_told(runt: Runt) -> None:
    site = attrs.evolve(user_site(), daemon=DaemonState(True, None, None))
    (finding,) = examine(site, [info_file])
    assert (finding.status, finding.repair) == ("warning", None)


def test_another_version_is_named_with_the_command(runt: Runt) -> None:
    assert [one.status for one in examine(_running(user_site()), [version])] == ["ok"]
    (finding,) = examine(_running(user_site(), "0.0.1"), [version])
    assert finding.what == f"The daemon is of version 0.0.1, installed is {__version__}"
    assert "'runt daemon restart'" in finding.remedy


def test_a_path_that_no_socket_can_have_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runt = Runt(tmp_path, monkeypatch)
    assert len(str(runt.paths.socket)) < 104 or examine(user_site(), [socket_path])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ("x" * 120)))
    (finding,) = examine(user_site(), [socket_path])
    assert finding.status == "error"
    assert "RUNTIMED_SOCKET_PATH" in finding.remedy
    assert runt("doctor").exit_code == 1
