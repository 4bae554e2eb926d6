"""The open notebooks: asked for, and shown."""

from __future__ import annotations

from typing import Any

import click

from runt_cli.asking import IS_IT_RUNNING, daemon_client
from runt_cli.failure import fail
from runt_cli.table import Column
from runt_cli.terminal import show_json, show_table, tilde
from runtimed.errors import RuntimedError

__all__ = ["COLUMNS", "open_notebooks", "show_notebooks", "shown_status"]

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
        show_json(
            [{key: value for key, value in room.items() if value is not None} for room in rooms]
        )
    elif not rooms:
        click.echo("No open notebooks.")
    else:
        show_table(COLUMNS, [_row(room) for room in rooms])


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
    waiting = (room.get("queued") or 0) - (status == "busy")
    return f"{status} +{waiting}" if status and waiting > 0 else status
