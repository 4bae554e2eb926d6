"""The listing that `runt ps` and `runt notebooks` share."""

from __future__ import annotations

from typing import Any

import click

from runt_cli.failure import fail
from runt_cli.terminal import show_json, show_table, tilde
from runtimed.client.daemon_client import DaemonClient
from runtimed.errors import RuntimedError

__all__ = ["show_rooms"]


def show_rooms(*, only_kernels: bool, as_json: bool) -> None:
    """Print the daemon's rooms, or those of them that have a kernel."""
    try:
        rooms = DaemonClient().list_rooms()
    except RuntimedError as error:
        raise fail(
            "Failed to list notebooks", error, "Is the daemon running? Try 'runt daemon status'"
        ) from error
    if only_kernels:
        rooms = [room for room in rooms if room["has_kernel"]]
    rooms.sort(key=lambda room: str(room["notebook_id"]))
    if as_json:
        show_json([_known(room) for room in rooms])
    elif not rooms:
        click.echo("No running kernels." if only_kernels else "No open notebooks.")
    elif only_kernels:
        show_table(
            ("NOTEBOOK", "KERNEL", "ENV", "STATUS", "PID", "PEERS"),
            [
                (*_common(room), _text(room, "kernel_pid"), _text(room, "active_peers"))
                for room in rooms
            ],
        )
    else:
        show_table(
            ("NOTEBOOK", "KERNEL", "ENV", "STATUS", "PEERS"),
            [(*_common(room), _text(room, "active_peers")) for room in rooms],
        )


def _known(room: dict[str, Any]) -> dict[str, Any]:
    """A room less the keys that say nothing."""
    return {key: value for key, value in room.items() if value is not None}


def _common(room: dict[str, Any]) -> tuple[str | None, ...]:
    return (
        tilde(str(room["notebook_id"])),
        _text(room, "kernel_type"),
        _text(room, "env_source"),
        _text(room, "kernel_status"),
    )


def _text(room: dict[str, Any], key: str) -> str | None:
    value = room.get(key)
    return None if value is None else str(value)
