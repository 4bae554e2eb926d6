"""The uv program: finding it, the settings it runs under, reading its complaints.

Knows nothing of pools and templates.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import trio

from runtimed.environments.programs import run_program
from runtimed.errors import EnvironmentBuildFailed

__all__ = [
    "base_python",
    "failed_package",
    "find_uv",
    "python_environ",
    "uv_environ",
    "uv_version",
]

# Variables of the daemon's own shell that would change what is built, or for which interpreter.
_STRIPPED = (
    "CONDA_PREFIX",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "PYTHONOPTIMIZE",
    "PYTHONPATH",
    "PYTHONPYCACHEPREFIX",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "SOURCE_DATE_EPOCH",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "UV_WORKING_DIRECTORY",
    "VIRTUAL_ENV",
)


def base_python() -> Path:
    """The interpreter that environments are made for: the one below the daemon's own."""
    found = Path(getattr(sys, "_base_executable", None) or sys.executable)
    if sys.prefix != sys.base_prefix and found.is_relative_to(sys.prefix):
        # Python 3.10 names the virtual environment's own link here.
        found = Path(
            sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"
        )
    return found if found.exists() else Path(sys.executable)


def find_uv() -> Path:
    """The uv binary: the one of the `uv` package, else the one on PATH. Never a relative path.

    Looked up anew each time, so that a later build finds what an earlier one missed.
    Raises: EnvironmentBuildFailed if there is none.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin()).absolute()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise EnvironmentBuildFailed(
            "Failed to get uv path: the uv package has no binary and PATH has no uv"
        )
    return Path(found).absolute()


def python_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for running an interpreter of ours: nothing of another environment's."""
    return {name: value for name, value in environ.items() if name not in _STRIPPED}


def uv_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for running uv.

    The user's settings hold: UV_* variables (indexes, mirrors, cache, offline), certificates,
    proxies, and the user's or else the system's uv.toml. Those of a project do not: the daemon's
    folder is nobody's project, and a file above it must not decide what every notebook gets.
    """
    variables = python_environ(environ)
    variables.update(UV_PYTHON_DOWNLOADS="never", UV_NO_PROGRESS="1", NO_COLOR="1")
    if "UV_CONFIG_FILE" not in variables:
        settings = _user_settings(environ)
        if settings is None:
            variables["UV_NO_CONFIG"] = "1"
        else:  # a named file replaces uv's own search, in projects too
            variables.pop("UV_NO_CONFIG", None)
            variables["UV_CONFIG_FILE"] = str(settings)
    return variables


def _user_settings(environ: Mapping[str, str]) -> Path | None:
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "yes", "on"):
        return None
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    places = [home, *(Path(place) for place in system if place), Path("/etc")]
    for place in places:
        settings = place / "uv" / "uv.toml"
        if settings.is_file():
            return settings
    return None


async def uv_version(uv: Path) -> str:
    """What `uv --version` says. Raises: EnvironmentBuildFailed if the binary does not work."""
    try:
        done = await run_program(
            [str(uv), "--version"], environ=uv_environ(), cwd=Path("/"), limit=10
        )
    except trio.TooSlowError:
        raise EnvironmentBuildFailed(f"Failed to get uv path: {uv} does not answer") from None
    if not done.ok:
        raise EnvironmentBuildFailed(f"Failed to get uv path: {uv} does not work: {done.complaint}")
    return done.stdout.strip()


_NAME = r"([a-z0-9_-]+)"
_COMPLAINTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"package `([^`]+)`",
        r"package '([^']+)'",
        rf"because {_NAME} was not found",
        rf"no matching distribution found for {_NAME}",
        r"failed to download `([^`]+)`",
        r"failed to download '([^']+)'",
        # Not in older descriptions of the wire, but what uv says about a version that does not
        # exist and about a source that does not build.
        rf"there (?:is|are) no versions? of {_NAME}",
        r"failed to build `([^`]+)`",
    )
)
_OURS = frozenset({"ipykernel", "ipywidgets"})


def failed_package(stderr: str) -> str | None:
    """The package that uv complains about, in lower case and without its version.

    Source: specification, "Failures and backoff". The kernel's own packages are never to blame.
    """
    text = stderr.lower()
    for complaint in _COMPLAINTS:
        for match in complaint.finditer(text):
            name = re.split(r"[\s=<>!~\[@;]", match[1].strip(), maxsplit=1)[0]
            if name and name not in _OURS:
                return name
    return None
