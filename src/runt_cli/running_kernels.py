"""The running kernels: the daemon's and others, what they use, and how that is shown."""

from __future__ import annotations

import os
from typing import Any

import click

from runt_cli.asking import IS_IT_RUNNING, daemon_client
from runt_cli.failure import Fail, fail
from runt_cli.open_notebooks import described, shown_status
from runt_cli.table import Column
from runt_cli.terminal import show_json, show_table, tilde
from runtimed.errors import RuntimedError
from runtimed.processes import Usage, usage

__all__ = ["show_kernels"]

_COLUMNS = (
    # Whatever is left of an id is the beginning of it, which commands take, too.
    Column("ID", rank=1, shorten="end", shortest=12),
    Column("NOTEBOOK", rank=0, shorten="path", shortest=10),
    Column("KERNEL", rank=6, shorten="end"),
    Column("ENV", rank=8, shorten="end", shortest=6),
    Column("STATUS", rank=2, shorten="end"),
    Column("PID", rank=7, right=True),
    Column("AGE", rank=5, right=True),
    Column("CPU", rank=4, right=True),
    Column("MEMORY", rank=3, right=True),
    Column("SOURCE", rank=9),
)

#: Who started a kernel.
_DAEMON, _JUPYTER = "runtimed", "jupyter"

#: What `--json` says of every kernel, here as it is of one that is no notebook's.
_ALWAYS: dict[str, Any] = {
    "notebook_id": None,
    "active_peers": 0,
    "has_kernel": True,
    "kernel_id": None,
    "kernel_name": None,
    "kernel_type": None,
    "kernel_status": None,
    "kernel_pid": None,
    "env_source": None,
    "connection_file": None,
    "state": None,
} | dict.fromkeys(("age_secs", "cpu_secs", "cpu_percent", "memory_bytes", "processes"))

#: Seconds for Jupyter's kernels to say how they are, which only those use up that don't.
_JUPYTER_LIMIT = 1.0


def show_kernels(*, as_json: bool, quiet: bool, every: bool) -> None:
    """Print the kernels that run, with `every` also the open notebooks that have none.

    Raises: Fail when the daemon can't be asked, after what there is besides.
    """
    failure: Fail | None = None
    kernels: list[dict[str, Any]] = []
    try:
        kernels += _of_daemon(every)
    except RuntimedError as error:
        failure = fail("Failed to list notebooks", error, IS_IT_RUNNING)
    kernels += _of_jupyter()
    if kernels or failure is None:
        _show(kernels if quiet else _with_figures(kernels), as_json=as_json, quiet=quiet)
    if failure is not None:
        raise failure


def _of_daemon(every: bool) -> list[dict[str, Any]]:
    client = daemon_client()
    kernels = client.list_kernels()
    if every:
        kernels += [room for room in client.list_rooms() if not room["has_kernel"]]
    return sorted(
        ({**kernel, "source": _DAEMON} for kernel in kernels),
        key=lambda kernel: (kernel["kernel_status"] == "warm", _name(kernel)),
    )


def _of_jupyter() -> list[dict[str, Any]]:
    """The kernels that a connection file of Jupyter's runtime folder tells of."""
    from runtimed.jupyter.folders import runtime_folder

    try:
        if not any(name.endswith(".json") for name in os.listdir(runtime_folder())):  # noqa: PTH208
            return []  # and nothing that reads such files has to be loaded
    except OSError:
        return []
    from runtimed.jupyter.discovery import find_jupyter_kernels

    kernels = [
        {
            "kernel_id": kernel.kernel_id,
            "kernel_name": kernel.kernel_name,
            "kernel_type": kernel.language,
            "env_source": None,
            "kernel_status": kernel.state,
            "kernel_pid": kernel.pid,
            "connection_file": str(kernel.path),
            "source": _JUPYTER,
        }
        for kernel in find_jupyter_kernels(limit=_JUPYTER_LIMIT).running
    ]
    return sorted(kernels, key=_name)


def _with_figures(kernels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    used = usage({kernel["kernel_pid"] for kernel in kernels if kernel.get("kernel_pid")})
    return [{**kernel, **_figures(used.get(kernel.get("kernel_pid") or 0))} for kernel in kernels]


def _figures(used: Usage | None) -> dict[str, Any]:
    """What a kernel uses, as `--json` has it; nothing of one that has just ended."""
    if used is None:
        return {}
    return {
        "age_secs": round(used.age, 2),
        "cpu_secs": round(used.processor_time, 2),
        "cpu_percent": round(used.processor_share * 100, 1),
        "memory_bytes": used.memory,
        "processes": used.processes,
    }


def _name(kernel: dict[str, Any]) -> str:
    return str(kernel.get("notebook_id") or kernel["kernel_id"])


def _show(kernels: list[dict[str, Any]], *, as_json: bool, quiet: bool) -> None:
    if quiet:
        for kernel in kernels:
            if kernel.get("notebook_id"):
                click.echo(kernel["kernel_id"] or kernel["notebook_id"])
    elif as_json:
        show_json([_complete(kernel) for kernel in kernels])
    elif not kernels:
        click.echo("No running kernels.")
    else:
        show_table(_COLUMNS, [_row(kernel) for kernel in kernels])


def _complete(kernel: dict[str, Any]) -> dict[str, Any]:
    """A kernel as `--json` has it, with the same keys whoever started it; a notebook without a
    kernel has those of `runt notebooks`."""
    whole = described(_ALWAYS | kernel)
    return whole | {"state": kernel["kernel_status"]} if whole["has_kernel"] else whole


def _row(kernel: dict[str, Any]) -> tuple[str | None, ...]:
    from runt_cli.env.amounts import ago, size

    notebook = kernel.get("notebook_id")
    pid, age = kernel.get("kernel_pid"), kernel.get("age_secs")
    return (
        kernel["kernel_id"],
        tilde(str(notebook)) if notebook else None,
        kernel["kernel_type"] or kernel.get("kernel_name"),
        kernel["env_source"],
        shown_status(kernel),
        str(pid) if pid else None,
        ago(0.0, age) if age is not None else None,
        f"{kernel['cpu_percent']:.0f}%" if age is not None else None,
        size(kernel["memory_bytes"]) if age is not None else None,
        kernel["source"],
    )
