"""What `runt jupyter ps` shows: two kinds of kernels in one table, or in two with all they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from runt_cli.asking import daemon_client
from runt_cli.failure import Fail, fail
from runt_cli.terminal import say, show_json, show_table, tilde
from runtimed.errors import DaemonUnreachable, RuntimedError
from runtimed.jupyter.connection_files import CHANNELS
from runtimed.jupyter.discovery import Discovery, JupyterKernel, find_jupyter_kernels

__all__ = ["show_jupyter_kernels"]

_EMPTY = "No running kernels found."


def show_jupyter_kernels(*, as_json: bool, verbose: bool) -> None:
    """Print them.

    Raises: Fail, after what there is, if a daemon runs that can't be asked.
    """
    failure: Fail | None = None
    try:
        rooms = [room for room in daemon_client().list_rooms() if room["has_kernel"]]
    except DaemonUnreachable:
        rooms = []
    except RuntimedError as error:
        rooms, failure = [], fail("Failed to list the daemon's kernels", error)
    rooms.sort(key=lambda room: str(room["notebook_id"]))
    found = find_jupyter_kernels()
    kernels = sorted(found.running, key=lambda kernel: kernel.kernel_id)
    if as_json:
        show_json([*map(_room, rooms), *map(_kernel, kernels)])
    elif verbose:
        _show_all(rooms, found)
    else:
        _show(rooms, kernels)
        _count_others(found)
    if failure is not None:
        raise failure


def _room(room: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": str(room["notebook_id"]),
        "language": room.get("kernel_type"),
        "status": room.get("kernel_status"),
        "source": "runtimed",
        "notebook": room.get("path") or str(room["notebook_id"]),
        **({"env_source": room["env_source"]} if room.get("env_source") else {}),
        "pid": room.get("kernel_pid"),
        "state": room.get("kernel_status"),
        "kernel_name": None,
        **_common(
            str(room["notebook_id"]),
            room.get("kernel_id"),
            room.get("kernel_pid"),
            room.get("kernel_type"),
            room.get("kernel_status"),
        ),
    }


def _common(
    notebook_id: str | None,
    kernel_id: str | None,
    pid: int | None,
    kernel_type: str | None,
    status: str | None,
) -> dict[str, Any]:
    """What `runt ps --json` says in these words, too."""
    return {
        "notebook_id": notebook_id,
        "kernel_id": kernel_id,
        "kernel_pid": pid,
        "kernel_type": kernel_type,
        "kernel_status": status,
    }


def _kernel(kernel: JupyterKernel) -> dict[str, Any]:
    return {
        "name": kernel.kernel_id,
        "language": kernel.language,
        "status": "alive" if kernel.answers else kernel.state,
        "source": "jupyter",
        "notebook": None,
        "connection_file": str(kernel.path),
        "pid": kernel.pid,
        "state": kernel.state,
        "kernel_name": kernel.kernel_name,
        **_common(None, kernel.kernel_id, kernel.pid, kernel.language, kernel.state),
    }


def _show(rooms: Sequence[dict[str, Any]], kernels: Sequence[JupyterKernel]) -> None:
    rows = [(*_room_columns(room), "runtimed", tilde(_room(room)["notebook"])) for room in rooms]
    rows += [(k.kernel_id, k.language or "", k.state, "jupyter", "") for k in kernels]
    if not rows:
        click.echo(_EMPTY)
        return
    show_table(("NAME", "LANGUAGE", "STATUS", "SOURCE", "NOTEBOOK"), rows)


def _room_columns(room: dict[str, Any]) -> tuple[str, str, str]:
    return (
        tilde(str(room["notebook_id"])),
        room.get("kernel_type") or "",
        room.get("kernel_status") or "",
    )


def _count_others(found: Discovery) -> None:
    dead = len(found.kernels) - len(found.running)
    if dead:
        files = "1 connection file" if dead == 1 else f"{dead} connection files"
        click.echo(f"{files} of dead kernels; 'runt jupyter clean' removes them.", err=True)
    if found.skipped:
        files = "1 file" if len(found.skipped) == 1 else f"{len(found.skipped)} files"
        click.echo(f"{files} can't be used; 'runt jupyter ps -v' says why.", err=True)


def _show_all(rooms: Sequence[dict[str, Any]], found: Discovery) -> None:
    if found.kernels:
        click.echo("Connection-file kernels:")
        channels = {"stdin": "STDIN", "shell": "SHELL", "iopub": "IOPUB", "hb": "HB"}
        headers = [channels.get(channel, "CTRL") for channel in CHANNELS]
        show_table(
            ("NAME", "LANGUAGE", "STATUS", "PID", *headers, "CONNECTION FILE"),
            [
                (
                    kernel.kernel_id,
                    " ".join(filter(None, (kernel.language, kernel.language_version))),
                    kernel.state,
                    str(kernel.pid or ""),
                    *(str(kernel.connection.ports[channel]) for channel in CHANNELS),
                    tilde(str(kernel.path)),
                )
                for kernel in sorted(found.kernels, key=lambda kernel: kernel.kernel_id)
            ],
        )
    if rooms:
        click.echo("Daemon-managed kernels:")
        show_table(
            ("NAME", "LANGUAGE", "STATUS", "ENV"),
            [(*_room_columns(room), room.get("env_source")) for room in rooms],
        )
    if not found.kernels and not rooms:
        click.echo(_EMPTY)
    for file in found.skipped:
        say(f"Skipped {tilde(str(file.path))}: {file.reason}", err=True)
