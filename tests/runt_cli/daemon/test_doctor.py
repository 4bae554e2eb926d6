"""`runt doctor`, whole outputs."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from in_process import Runt

_NOBODY = """\
Socket file:         ~/c/runt/runtimed.sock [{socket}]
Daemon state:        ~/c/runt/daemon.json [{info}]
Daemon running:      ~/c/runt/runtimed.sock [not running]

Diagnosis: {diagnosis}
"""
_WRONG = """\

Wrong:
  [warning] The socket is stale: nobody listens at it (~/c/runt/runtimed.sock)
      why: A daemon ended without removing it, by SIGKILL or with the machine
      to do: The next daemon replaces it
  [warning] The info file is stale (it is damaged) (~/c/runt/daemon.json)
      why: Its daemon ended without removing it, by SIGKILL or with the machine
      to do: The next daemon replaces it

Worth knowing:
"""


@pytest.fixture
def runt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runt:
    (tmp_path / "h").mkdir()
    return Runt(tmp_path / "h", monkeypatch)


def _crash(runt: Runt) -> None:
    """Leave what a daemon leaves that was killed."""
    runt.paths.base.mkdir(parents=True, mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(runt.paths.socket))
    runt.paths.info.write_text("{")


def test_nothing_is_wrong_where_no_daemon_ever_ran(runt: Runt) -> None:
    done = runt("doctor")
    assert (done.exit_code, done.stderr) == (0, "")
    text = done.stdout
    assert text.startswith("runtimed Health Check\nInstalled binary:    ")
    assert "\nService config:      ~/config/systemd/user/runtimed.service [missing]\n" in text
    diagnosis = "No daemon runs, and nothing is wrong. Try 'runt daemon start'."
    assert _NOBODY.format(socket="missing", info="missing", diagnosis=diagnosis) in text
    assert "Wrong:" not in text
    assert "--fix" not in text
    assert list(runt.home.iterdir()) == []


def test_what_is_wrong_is_told_with_why_and_what_to_do(runt: Runt) -> None:
    _crash(runt)
    done = runt("daemon", "doctor")
    assert done.exit_code == 1
    diagnosis = "Daemon state is stale (process crashed)."
    head = _NOBODY.format(socket="stale", info="stale", diagnosis=diagnosis)
    assert head + _WRONG in done.stdout
    hint = "\nRun 'runt doctor --fix' to attempt automatic repair.\n"
    assert done.stdout.endswith(hint)
    assert runt.paths.info.exists()


def test_fix_tells_what_was_done(runt: Runt) -> None:
    _crash(runt)
    done = runt("doctor", "--fix")
    assert done.exit_code == 0
    assert done.stdout.count("Removed stale socket file") == 1
    assert (
        "\nActions taken:\n"
        "  [mended] The socket is stale: nobody listens at it (~/c/runt/runtimed.sock)\n"
        "      why: A daemon ended without removing it, by SIGKILL or with the machine\n"
        "      done: Removed stale socket file\n"
    ) in done.stdout
    assert sorted(path.name for path in runt.paths.base.iterdir()) == ["daemon.lock"]
    assert runt("doctor").exit_code == 0


def test_what_cannot_be_mended_stays_wrong(runt: Runt, monkeypatch: pytest.MonkeyPatch) -> None:
    file = runt.home / "config" / "nteract" / "settings.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    done = runt("doctor", "--fix")
    assert done.exit_code == 1
    assert "Diagnosis: No daemon runs, and one thing is wrong.\n" in done.stdout
    assert "[error] The settings file can't be read: " in done.stdout


def test_json_has_the_documented_keys(runt: Runt) -> None:
    _crash(runt)
    report = json.loads(runt("doctor", "--json", "--fix").stdout)
    assert list(report) == [
        "installed_binary",
        "service_config",
        "socket_file",
        "daemon_state",
        "daemon_running",
        "diagnosis",
        "actions_taken",
        "findings",
    ]
    for key in list(report)[:5]:
        assert sorted(report[key]) == ["detail", "path", "status"]
    assert report["actions_taken"] == ["Removed stale socket file", "Removed stale daemon.json"]
    mended = next(one for one in report["findings"] if one["name"] == "socket")
    assert mended == {
        "name": "socket",
        "status": "mended",
        "path": str(runt.paths.socket),
        "what": "The socket is stale: nobody listens at it",
        "why": "A daemon ended without removing it, by SIGKILL or with the machine",
        "remedy": "The next daemon replaces it",
        "done": "Removed stale socket file",
        "can_mend": False,
    }


def test_a_service_without_a_daemon_is_told_as_such(
    runt: Runt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(runt.home))  # nobody manages services here
    unit = runt.home / "config" / "systemd" / "user" / "runtimed.service"
    unit.parent.mkdir(parents=True)
    program = runt.home / "runtimed"
    unit.write_text(f'[Service]\nExecStart="{program}"\n')
    report = json.loads(runt("doctor", "--json").stdout)
    assert report["installed_binary"] == {
        "path": str(program),
        "status": "missing",
        "detail": None,
    }
    assert report["diagnosis"] == ("Service config exists but binary missing. Need to reinstall.")
    program.touch()
    report = json.loads(runt("doctor", "--json").stdout)
    assert report["service_config"]["status"] == "ok"
    assert report["diagnosis"] == "Daemon installed but not running. Try 'runt daemon start'."


@pytest.mark.parametrize("place", ["file", "x" * 300])
def test_places_that_cannot_be_are_told_and_nothing_crashes(
    runt: Runt, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (runt.home / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(runt.home / place))
    for flags in ([], ["--fix"], ["--json"]):
        done = runt("doctor", *flags)
        assert (done.exit_code, done.stderr) == (1, "")
        assert isinstance(done.exception, SystemExit)
