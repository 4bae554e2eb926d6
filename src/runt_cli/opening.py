"""From what `runt open` was given to a notebook that is there, and to its viewer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from runt_cli.asking import daemon_client
from runt_cli.failure import Fail, fail
from runt_cli.terminal import say, tilde
from runt_cli.which_notebook import absolute_path, find_room, notebook_id_of
from runtimed.client.viewer import VARIABLE, check_viewer, show_notebook, viewer_command
from runtimed.errors import DaemonUnreachable, RuntimedError

__all__ = ["open_notebook"]

_ACTION = "Failed to open notebook"


def open_notebook(text: str | None, runtime: str | None) -> None:
    """Show a notebook, made before if there is none, or the viewer without one.

    Raises: Fail.
    """
    try:
        check_viewer()  # before anything is made for it
    except RuntimedError as error:
        raise Fail(str(error)) from error
    path, notebook_id = _meant(text) if text else (None, None)
    if path is not None and not path.exists():
        _create(path, runtime)
    try:
        program = show_notebook(path, notebook_id, runtime)
    except RuntimedError as error:
        raise Fail(str(error)) from error
    what = tilde(str(path)) if path else notebook_id
    say(f"Opened {what} in {program}" if what else f"Opened {program}")


def _meant(text: str) -> tuple[Path | None, str]:
    """The file and the id of the notebook that is meant; an untitled one has no file."""
    path = absolute_path(text)
    if not path.exists() and "/" not in text and not text.endswith(".ipynb"):
        room = _open_room(text)
        if room is not None:
            if room.get("path"):
                return Path(str(room["path"])), str(room["notebook_id"])
            if "{notebook_id}" not in (viewer_command() or ""):
                raise Fail(
                    f"{room['notebook_id']} is untitled: there is no file to open, and {VARIABLE} "
                    "does not name {notebook_id}"
                )
            return None, str(room["notebook_id"])
    return path, notebook_id_of(str(path))


def _open_room(text: str) -> Any:
    """The open notebook of that id, if a daemon can be asked."""
    try:
        return find_room(text, daemon_client().list_rooms())
    except DaemonUnreachable:
        return None
    except RuntimedError as error:
        raise fail(_ACTION, error) from error


def _create(path: Path, runtime: str | None) -> None:
    if not path.parent.is_dir():
        raise Fail(f"{_ACTION}: there is no folder {path.parent}")
    try:
        try:
            daemon_client().check()  # one that hangs is to be named soon
        except DaemonUnreachable:
            pass  # it is started
        from runt_cli.interruptible import run_interruptible
        from runtimed.client.async_session import create_notebook_file

        written = run_interruptible(partial(create_notebook_file, path, runtime, "runt"))
    except RuntimedError as error:
        raise fail(_ACTION, error) from error
    say(f"Created {tilde(written)}")
