"""The launchd property list, as bytes. Pure; knows nothing of launchctl.

Source: command line specification, 9.2, and launchd.plist(5).
"""

from __future__ import annotations

import plistlib
from pathlib import Path
from typing import Any

from runtimed.errors import ServiceFailed
from runtimed.service.definition import STOP_LIMIT, ServiceDefinition

__all__ = ["LABEL", "base_of", "launchd_plist", "program_of", "serves"]

LABEL = "io.nteract.runtimed"


def launchd_plist(definition: ServiceDefinition) -> bytes:
    """The property list's bytes.

    Raises: ServiceFailed for a path that no property list can name.
    """
    content = {
        "Label": LABEL,
        "ProgramArguments": [str(definition.program)],
        "RunAtLoad": True,
        # Only after a crash: an orderly end, and one because another daemon runs, are final.
        "KeepAlive": {"Crashed": True},
        "ExitTimeOut": STOP_LIMIT,
        # Kernels compute: they are not to be throttled as things in the background are.
        "ProcessType": "Interactive",
        # The daemon notices that this is its own log, and writes each line once.
        "StandardOutPath": str(definition.log),
        "StandardErrorPath": str(definition.log),
        "EnvironmentVariables": {"USER": "unknown"} | dict(definition.environment),
    }
    try:
        return plistlib.dumps(content)
    except (UnicodeEncodeError, ValueError) as error:
        raise ServiceFailed(f"A service can't be given these paths: {error}") from error


def serves(plist: bytes, base: Path) -> bool:
    """Whether a property list is for the daemon of this folder. One that does not say is."""
    return base_of(plist) in (None, base)


def base_of(plist: bytes) -> Path | None:
    """The folder of the daemon that a property list is for; None when it does not say."""
    log = _loaded(plist).get("StandardErrorPath")
    return Path(log).parent if isinstance(log, str) else None


def program_of(plist: bytes) -> Path | None:
    """The program that a property list runs; None when it has none."""
    arguments = _loaded(plist).get("ProgramArguments")
    if isinstance(arguments, list) and arguments and isinstance(arguments[0], str):
        return Path(arguments[0])
    return None


def _loaded(plist: bytes) -> dict[str, Any]:
    try:
        content = plistlib.loads(plist)
    except Exception:  # expat's errors and plistlib's have nothing in common
        return {}
    return content if isinstance(content, dict) else {}
