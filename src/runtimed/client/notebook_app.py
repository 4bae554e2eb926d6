"""Starting the desktop app, which is another project's: found by its installed names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from runtimed.errors import RuntimedError
from runtimed.paths import workspace_path

__all__ = [
    "AppNotLaunched",
    "is_app_installed",
    "launch_notebook_app",
    "show_notebook_app",
    "start_detached",
]

_NAME = "nteract"

#: Names under which the app may be installed, the likeliest first.
_CANDIDATES = ("nteract",)

#: Where a workspace has its own build.
_BUILDS = ("target/debug/notebook", "target/release/notebook")


class AppNotLaunched(RuntimedError, RuntimeError):
    """The desktop app could not be started."""


def show_notebook_app(notebook_path: str | os.PathLike[str] | None = None) -> None:
    """Start the desktop app, on a notebook file if one is named, and return.

    In development mode it is the workspace's own build.
    Raises: RuntimeError that says what was tried.
    """
    launch_notebook_app(
        [] if notebook_path is None else [str(Path(notebook_path).expanduser().absolute())]
    )


def launch_notebook_app(arguments: list[str]) -> None:
    """Start the desktop app with these arguments, and return.

    Raises: AppNotLaunched.
    """
    workspace = workspace_path()
    if workspace is not None:
        _launch_build(workspace, arguments)
        return
    error: Exception | None = None
    for candidate in _CANDIDATES:
        try:
            _launch(candidate, arguments)
        except (OSError, subprocess.CalledProcessError) as failure:
            error = failure
        else:
            return
    raise AppNotLaunched(
        f"Failed to launch {_NAME}: last attempt ({candidate}) failed: {error}"
    ) from error


def is_app_installed() -> bool:
    """Whether there is a desktop app to start: in development mode, the workspace's own build."""
    workspace = workspace_path()
    if workspace is not None:
        return any((workspace / build).is_file() for build in _BUILDS)
    if sys.platform == "darwin":
        folders = (Path("/Applications"), Path(os.path.expanduser("~/Applications")))  # noqa: PTH111
        return any((folder / f"{name}.app").is_dir() for folder in folders for name in _CANDIDATES)
    return any(shutil.which(name) for name in _CANDIDATES)


def _launch_build(workspace: Path, arguments: list[str]) -> None:
    builds = [workspace / build for build in _BUILDS]
    for build in builds:
        if build.is_file():
            try:
                start_detached([str(build), *arguments])
            except OSError as error:
                raise AppNotLaunched(
                    f"Failed to launch {_NAME}: last attempt ({build}) failed: {error}"
                ) from error
            return
    raise AppNotLaunched(
        f"No notebook binary found at {builds[0]}. Build the app in this workspace, or unset "
        "RUNTIMED_DEV and RUNTIMED_WORKSPACE_PATH to use the installed one"
    )


def _launch(candidate: str, arguments: list[str]) -> None:
    if sys.platform == "darwin":
        command = ["open", "-a", candidate, *(["--args", *arguments] if arguments else [])]
        subprocess.run(command, check=True, capture_output=True)
    else:
        start_detached([candidate, *arguments])


def start_detached(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a program that outlives us and writes nowhere.

    Raises: OSError.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Reaps it should it end before we do; holds nothing up when we end first.
    threading.Thread(target=process.wait, name="notebook app watch", daemon=True).start()
    return process
