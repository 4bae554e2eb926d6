"""The checks of macOS, with stand-ins for its programs."""

from __future__ import annotations

import plistlib
from collections.abc import Callable
from pathlib import Path

import pytest

from runtimed.doctor.macos import launchd_service, macos_checks, plist_home, quarantine

pytestmark = pytest.mark.real


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("script", "status", "detail"),
    [
        ('echo \'{ "PID" = 77; "LastExitStatus" = 0; };\'', "ok", "PID 77"),
        ("echo '{ \"LastExitStatus\" = 0; };'", "ok", "registered, not running"),
        ("echo '{ \"LastExitStatus\" = 256; };'", "error", "last exit code 256"),
        ("exit 113", "not_loaded", None),
    ],
)
def test_launchd_is_asked_for_the_service(
    program: Callable[[str, str], None], script: str, status: str, detail: str | None
) -> None:
    program("launchctl", script)
    assert launchd_service("x") == {"path": None, "status": status, "detail": detail}


def test_a_quarantined_program_is_told(program: Callable[[str, str], None]) -> None:
    program("xattr", "echo com.apple.quarantine")
    assert quarantine(Path("/x"))["status"] == "quarantined"
    program("xattr", "echo com.apple.provenance")
    assert quarantine(Path("/x"))["status"] == "ok"
    program("xattr", "echo No such file >&2; exit 1")
    assert quarantine(Path("/x")) == {"path": "/x", "status": "error", "detail": "No such file"}


def test_a_property_list_without_a_home_is_told(tmp_path: Path) -> None:
    plist = tmp_path / "x.plist"
    assert plist_home(plist)["status"] == "missing"
    plist.write_bytes(plistlib.dumps({"EnvironmentVariables": {"HOME": "/x"}}))
    assert plist_home(plist)["status"] == "ok"
    plist.write_bytes(plistlib.dumps({"EnvironmentVariables": {}}))
    assert plist_home(plist)["status"] == "missing"
    plist.write_bytes(b"<plist>")
    assert plist_home(plist)["status"] == "error"


def test_old_services_are_told_only_when_there_are_some(
    program: Callable[[str, str], None], tmp_path: Path
) -> None:
    program("xattr", "exit 0")
    program("launchctl", '[ "$2" = io.runtimed ] && echo \'{ "PID" = 1; };\' || exit 113')
    checks = macos_checks(Path("/x"), tmp_path / "x.plist")
    assert list(checks) == [
        "quarantine",
        "plist_home_env",
        "launchd_service",
        "conflicting_services",
    ]
    assert checks["conflicting_services"]["detail"] == "io.runtimed"
    program("launchctl", "exit 113")
    assert "conflicting_services" not in macos_checks(Path("/x"), tmp_path / "x.plist")
