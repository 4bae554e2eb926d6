"""The kernels of Jupyter's runtime folder and how each is: for listings, and for what needs one.

All files are looked at side by side and under one time limit, so that many dead ones cost no more
than one. Nothing is changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from runtimed.errors import ConnectionFileUnusable
from runtimed.jupyter.connection_files import (
    ConnectionInfo,
    SkippedFile,
    connection_files,
    read_connection_file,
)
from runtimed.jupyter.folders import runtime_folder
from runtimed.jupyter.knocking import knock
from runtimed.jupyter.processes import KernelProcess, find_processes

__all__ = [
    "LIMIT",
    "Discovery",
    "JupyterKernel",
    "State",
    "find_jupyter_kernels",
    "find_jupyter_kernels_async",
    "look_at",
]

#: Seconds in all, which only kernels that don't answer use up.
LIMIT = 2.0

State: TypeAlias = Literal["idle", "busy", "starting", "unresponsive", "dead"]


@attrs.frozen
class JupyterKernel:
    """A kernel that a connection file tells of.

    Shape: `state` is `idle`, `busy` (it answers, but not what waits behind a cell), `starting` (a
    process has the file and listens nowhere yet), `unresponsive` (somebody listens and does not
    answer) or `dead` (nobody is there). `language` and what follows are None where the kernel did
    not say. `pid` is that of its process where it can be known.
    """

    connection: ConnectionInfo
    state: State
    process: KernelProcess | None = None
    language: str | None = None
    language_version: str | None = None
    implementation: str | None = None

    @property
    def kernel_id(self) -> str:
        return self.connection.kernel_id

    @property
    def path(self) -> Path:
        """The connection file."""
        return self.connection.path

    @property
    def kernel_name(self) -> str | None:
        """The name of its kernelspec."""
        return self.connection.kernel_name or None

    @property
    def ours(self) -> bool:
        """Whether `runt jupyter start` started it, as its file's name says."""
        return self.connection.ours

    @property
    def pid(self) -> int | None:
        return None if self.process is None else self.process.pid

    @property
    def answers(self) -> bool:
        return self.state in ("idle", "busy")


@attrs.frozen
class Discovery:
    """What a folder holds: the newest kernel first, and files that can't be used."""

    kernels: Sequence[JupyterKernel]
    skipped: Sequence[SkippedFile]

    @property
    def running(self) -> Sequence[JupyterKernel]:
        """All but the dead ones."""
        return [kernel for kernel in self.kernels if kernel.state != "dead"]


def find_jupyter_kernels(
    environ: Mapping[str, str] = os.environ, *, limit: float = LIMIT
) -> Discovery:
    """Look at every connection file of the runtime folder. Blocks.

    Units: limit in seconds, for all of it; files that it leaves no time for are skipped, which says
    so. Never raises for what lies in the folder.
    """
    deadline = time.monotonic() + limit
    paths, skipped = connection_files(runtime_folder(environ))
    usable: list[ConnectionInfo] = []
    for path in paths:
        if time.monotonic() > deadline:
            skipped.append(SkippedFile(path, f"not looked at within {limit:g} seconds"))
            continue
        try:
            usable.append(read_connection_file(path))
        except ConnectionFileUnusable as error:
            skipped.append(SkippedFile(path, str(error)))
    return Discovery(look_at(usable, limit=max(deadline - time.monotonic(), 0.0)), skipped)


async def find_jupyter_kernels_async(
    environ: Mapping[str, str] = os.environ, *, limit: float = LIMIT
) -> Discovery:
    """The same on Trio, in a thread."""
    import trio

    find = partial(find_jupyter_kernels, environ, limit=limit)
    return await trio.to_thread.run_sync(find, abandon_on_cancel=True)


def look_at(kernels: Sequence[ConnectionInfo], *, limit: float = LIMIT) -> list[JupyterKernel]:
    """How these kernels are, in the same order. Blocks for `limit` seconds at most."""
    if not kernels:
        return []
    deadline = time.monotonic() + limit
    processes = find_processes(kernels)
    doors = dict(knock(kernels, deadline))
    open_ones = [kernel for kernel in kernels if doors[kernel] == "open"]
    states: dict[ConnectionInfo, tuple[State, Mapping[str, Any]]] = {}
    if open_ones:
        from runtimed.jupyter.asking import ask  # ZMQ, which takes its time to load

        for kernel, answer in ask(open_ones, deadline):
            if answer.info is not None:
                states[kernel] = ("idle" if answer.shell else "busy", answer.info)
            else:
                states[kernel] = ("busy" if answer.heartbeat else "unresponsive", {})
    found = []
    for kernel in kernels:
        process = processes.get(kernel.path)
        state, info = states.get(kernel, ("unresponsive", {}))
        if doors[kernel] == "closed":
            state = "dead" if process is None else "starting"
        found.append(_described(kernel, state, process, info))
    return found


def _described(
    kernel: ConnectionInfo, state: State, process: KernelProcess | None, info: Mapping[str, Any]
) -> JupyterKernel:
    language = info.get("language_info")
    language = language if isinstance(language, dict) else {}
    return JupyterKernel(
        connection=kernel,
        state=state,
        process=process,
        language=_text(language.get("name")),
        language_version=_text(language.get("version")),
        implementation=_text(info.get("implementation")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
