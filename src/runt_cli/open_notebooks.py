"""The open notebooks: asked for, and shown."""

from __future__ import annotations

from typing import Any

import click

from runt_cli.asking import IS_IT_RUNNING, daemon_client
from runt_cli.failure import fail
from runt_cli.table import Column
from runt_cli.terminal import show_json, show_table, tilde
from runtimed.errors import RuntimedError

__all__ = ["COLUMNS", "described", "open_notebooks", "show_notebooks", "shown_status"]

#: What `--json` says of every notebook.
_ALWAYS: dict[str, Any] = {"path": None, "loading": False, "unsaved": False, "queued": 0}

COLUMNS = (
    Column("NOTEBOOK", rank=0, shorten="path", shortest=12),
    Column("KERNEL", rank=4, shorten="end"),
    Column("ENV", rank=5, shorten="end", shortest=6),
    Column("STATUS", rank=1),
    Column("PEERS", rank=3, right=True),
    Column("UNSAVED", rank=2),
)


def open_notebooks(action: str) -> list[dict[str, Any]]:
    """The daemon's rooms, by id.

    Raises: Fail that begins with the action it was for.
    """
    try:
        found = daemon_client().list_rooms()
    except RuntimedError as error:
        raise fail(action, error, IS_IT_RUNNING) from error
    return sorted(found, key=lambda room: str(room["notebook_id"]))


def show_notebooks(*, as_json: bool, quiet: bool) -> None:
    """Print the daemon's rooms."""
    rooms = open_notebooks("Failed to list notebooks")
    if quiet:
        for room in rooms:
            click.echo(room["notebook_id"])
    elif as_json:
        show_json([described(room) for room in rooms])
    elif not rooms:
        click.echo("No open notebooks.")
    else:
        show_table(COLUMNS, [_row(room) for room in rooms])


def described(room: dict[str, Any]) -> dict[str, Any]:
    """A notebook as `--json` has it: always with the same keys, and those of its kernel if there is
    one or it is known what it will be."""
    known = {key: value for key, value in room.items() if value is not None}
    kernel = dict.fromkeys(room) if room["has_kernel"] else {}
    return kernel | _ALWAYS | known


def _row(room: dict[str, Any]) -> tuple[str | None, ...]:
    return (
        tilde(str(room["notebook_id"])),
        room["kernel_type"],
        room["env_source"],
        shown_status(room),
        str(room["active_peers"]),
        "yes" if room["unsaved"] else None,
    )


def shown_status(room: dict[str, Any]) -> str | None:
    """What a kernel does, `busy +2` when two cells wait behind the one that runs."""
    status = room["kernel_status"]
    if room.get("loading"):
        return "loading"
    waiting = room.get("queued")
    return f"{status} +{waiting}" if status and waiting else status
