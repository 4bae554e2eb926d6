"""Checks of the specification's health report that only macOS has. Blocks, at most some seconds."""

from __future__ import annotations

import plistlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

__all__ = ["launchd_service", "macos_checks", "plist_home", "quarantine"]

_LABEL = "io.nteract.runtimed"
_OLD_LABELS = ("io.runtimed", "io.nteract.runtimed.preview")
_QUARANTINE = "com.apple.quarantine"
_PATIENCE = 2.0


def macos_checks(program: Path | None, plist: Path) -> dict[str, Any]:
    """The keys that are there on macOS only."""
    checks: dict[str, Any] = {}
    if program is not None:
        checks["quarantine"] = quarantine(program)
    checks["plist_home_env"] = plist_home(plist)
    checks["launchd_service"] = launchd_service(_LABEL)
    if old := [label for label in _OLD_LABELS if launchd_service(label)["status"] == "ok"]:
        detail = ", ".join(old)
        checks["conflicting_services"] = {"path": None, "status": "warning", "detail": detail}
    return checks


def quarantine(program: Path) -> dict[str, Any]:
    """Whether Gatekeeper holds the program back."""
    done = _run(["xattr", str(program)])
    if done is None or done.returncode:
        return _check(program, "error", done.stderr.strip() if done else "xattr can't be run")
    marked = _QUARANTINE in done.stdout.split()
    return _check(program, "quarantined" if marked else "ok", None)


def plist_home(plist: Path) -> dict[str, Any]:
    """Whether the property list gives the daemon its home folder."""
    try:
        variables = plistlib.loads(plist.read_bytes()).get("EnvironmentVariables", {})
    except FileNotFoundError:
        return _check(plist, "missing", None)
    except (OSError, ValueError, AttributeError, ExpatError) as error:
        return _check(plist, "error", str(error))
    return _check(plist, "ok" if "HOME" in variables else "missing", None)


def launchd_service(label: str) -> dict[str, Any]:
    """What launchd says of a service."""
    done = _run(["launchctl", "list", label])
    if done is None:
        return _check(None, "error", "launchctl can't be run")
    if done.returncode:
        return _check(None, "not_loaded", None)
    if pid := re.search(r'"PID" = (\d+);', done.stdout):
        return _check(None, "ok", f"PID {pid[1]}")
    code = re.search(r'"LastExitStatus" = (-?\d+);', done.stdout)
    if code and code[1] != "0":
        return _check(None, "error", f"last exit code {code[1]}")
    return _check(None, "ok", "registered, not running")


def _check(path: Path | None, status: str, detail: str | None) -> dict[str, Any]:
    return {"path": str(path) if path else None, "status": status, "detail": detail}


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return None
