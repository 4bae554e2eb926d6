"""Starting the desktop app, which is another project's: found by its installed names."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from runtimed.errors import RuntimedError
from runtimed.paths import workspace_path

__all__ = ["AppNotLaunched", "show_notebook_app"]

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
    arguments = [] if notebook_path is None else [str(Path(notebook_path).expanduser().absolute())]
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


def _launch_build(workspace: Path, arguments: list[str]) -> None:
    builds = [workspace / build for build in _BUILDS]
    for build in builds:
        if build.is_file():
            try:
                _spawn([str(build), *arguments])
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
        _spawn([candidate, *arguments])


def _spawn(command: list[str]) -> None:
    """Start a program that outlives us and writes nowhere."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # Reaps it should it end before we do; holds nothing up when we end first.
    threading.Thread(target=process.wait, name="notebook app watch", daemon=True).start()
