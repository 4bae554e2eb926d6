"""Showing a notebook in the viewer that the user has chosen, or else in the desktop app.

A viewer is a command line in which `{path}`, `{url}` and `{notebook_id}` stand for the notebook.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from runtimed.client.notebook_app import is_app_installed, launch_notebook_app, start_detached
from runtimed.document.settings_mirror import parse_mirror
from runtimed.errors import RuntimedError
from runtimed.paths import settings_folder

__all__ = [
    "VARIABLE",
    "ViewerNotLaunched",
    "check_viewer",
    "show_notebook",
    "viewer_arguments",
    "viewer_command",
]

VARIABLE = "RUNT_VIEWER"
SETTING = "viewer"

#: Seconds in which a viewer that can't do its work usually says so by ending.
_AT_ONCE = 0.5


class ViewerNotLaunched(RuntimedError):
    """No viewer could be started, or none is configured."""


def viewer_command(environ: Mapping[str, str] = os.environ) -> str | None:
    """The configured command: $RUNT_VIEWER, else `viewer` of settings.json; None without one."""
    if command := environ.get(VARIABLE, "").strip():
        return command
    try:
        settings = parse_mirror((settings_folder(environ) / "settings.json").read_bytes())
    except (OSError, ValueError):
        return None
    chosen = settings.get(SETTING)
    return chosen.strip() or None if isinstance(chosen, str) else None


def viewer_arguments(command: str, path: Path | None, notebook_id: str | None) -> list[str]:
    """The words of a command with a notebook put in, its path at the end if it names none.

    A word about something that the notebook has not is left out. Nothing is given to a shell.
    Raises: ViewerNotLaunched for a command that is none.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ViewerNotLaunched(
            f"The viewer is no command ({str(error).lower()}): {command}"
        ) from error
    if not words or not words[0]:
        raise ViewerNotLaunched(f"The viewer is no command: {command}")
    values = {
        "{path}": None if path is None else str(path),
        "{url}": None if path is None else path.as_uri(),
        "{notebook_id}": notebook_id,
    }
    filled = []
    for word in words:
        named = {name: value for name, value in values.items() if name in word}
        if None in named.values():
            continue
        for name, value in named.items():
            word = word.replace(name, str(value))
        filled.append(word)
    if path is not None and not any(name in word for name in values for word in words):
        filled.append(str(path))
    return filled


def check_viewer() -> None:
    """Return if there is something to show notebooks in.

    Raises: ViewerNotLaunched that says what to do about it.
    """
    if viewer_command() is None and not is_app_installed():
        raise ViewerNotLaunched(
            f"No viewer is configured, and the desktop app is not installed. Set {VARIABLE}, or "
            f'"{SETTING}" in {settings_folder() / "settings.json"}, to the command that opens a '
            "notebook, such as 'jupyter lab {path}'"
        )


def show_notebook(
    path: Path | None, notebook_id: str | None = None, runtime: str | None = None
) -> str:
    """Show a notebook file, or the viewer alone; the name of the program. Returns at once.

    Raises: ViewerNotLaunched, AppNotLaunched.
    """
    command = viewer_command()
    if command is None:
        return _show_in_app(path, runtime)
    words = viewer_arguments(command, path, notebook_id)
    try:
        process = start_detached(words)
    except OSError as error:
        raise ViewerNotLaunched(
            f"The viewer can't be started: {error.strerror}: {shlex.join(words)}"
        ) from error
    try:
        code = process.wait(_AT_ONCE)
    except subprocess.TimeoutExpired:
        code = 0
    if code != 0:
        raise ViewerNotLaunched(f"The viewer ended with exit code {code}: {shlex.join(words)}")
    return words[0]


def _show_in_app(path: Path | None, runtime: str | None) -> str:
    arguments = [] if path is None else [str(path)]
    if runtime is not None:
        arguments += ["--runtime", runtime]
    launch_notebook_app(arguments)
    return "the desktop app"
