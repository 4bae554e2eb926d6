"""Which daemon a service is to run: the `runtimed` of the environment that installs it.

A Python package has no single file that could be copied somewhere; its `runtimed` script stays with
its environment, and is upgraded with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from runtimed.errors import ServiceFailed

__all__ = ["default_program", "version_of"]

_NAME = "runtimed"


def default_program() -> Path:
    """The `runtimed` script of this environment, executable or not; where it should be if nowhere.

    Beside the command that was typed, if that is ours; else where this Python has its scripts.
    """
    places = list(_places())
    found = (place for place in places if os.access(place, os.X_OK) and place.is_file())
    return next(found, places[0])


def _places() -> Iterator[Path]:
    command = Path(sys.argv[0] if sys.argv else "").absolute()
    if command.name in ("runt", _NAME):
        yield command.with_name(_NAME)
    yield Path(sys.executable).with_name(_NAME)
    yield Path(sysconfig.get_path("scripts")) / _NAME
    yield Path(sysconfig.get_path("scripts", f"{os.name}_user")) / _NAME


def version_of(program: Path) -> str | None:
    """The version a daemon program has; None when it does not say.

    Raises: ServiceFailed when it can't be run at all.
    """
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=30,
        )
    except OSError as error:
        raise ServiceFailed(f"The daemon {program} can't be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        return None
    name, _, version = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and name == _NAME and version else None
