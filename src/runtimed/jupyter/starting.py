"""Starting a kernel that belongs to no daemon: detached, with private files, known to be up.

The connection file is there before the process is. The process leads a session of its own, so that
no terminal's Ctrl-C or end reaches it, and writes into a log.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from runtimed.errors import KernelStartFailed
from runtimed.jupyter.connection_files import ConnectionInfo, read_connection_file
from runtimed.jupyter.discovery import look_at
from runtimed.jupyter.folders import runtime_folder
from runtimed.jupyter.kernelspecs import KernelSpec
from runtimed.jupyter.own_files import log_of, note_process, remove_files, write_files
from runtimed.kernels.kernel import describe_exit
from runtimed.kernels.registry import record_process

__all__ = ["START_LIMIT", "StartedKernel", "start_kernel", "working_folder"]

#: Seconds for a kernel to answer.
START_LIMIT = 60.0

#: Seconds for one look at it, and between two.
_LOOK = 1.0
_PAUSE = 0.05

#: Bytes of the log that an error shows.
_TAIL = 8192

#: Variables by which a kernel would end with somebody who is not its starter.
_FOREIGN = ("JPY_PARENT_PID", "JPY_INTERRUPT_EVENT", "JPY_SESSION_NAME")


@attrs.frozen
class StartedKernel:
    """A kernel that answers. `process` is our child, which outlives us unless it is ended."""

    connection: ConnectionInfo
    process: subprocess.Popen[bytes]
    log: Path


async def start_kernel(
    spec: KernelSpec,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path,
    tied: bool = False,
    limit: float = START_LIMIT,
) -> StartedKernel:
    """Start a kernel in a folder and wait until it answers.

    tied: a Python kernel then ends by itself when this process has gone.
    Raises: KernelStartFailed with the end of what the kernel wrote; nothing is left then, nor after
    being cancelled.
    """
    path = write_files(runtime_folder(environ), spec.name)
    try:
        process = _spawn(spec, path, environ, folder, tied=tied)
    except BaseException:
        remove_files(path)
        raise
    try:
        note_process(path, record_process(process.pid))
        connection = read_connection_file(path)
        with trio.move_on_after(limit) as waiting:
            await _wait_answer(connection, process)
        if waiting.cancelled_caught:
            raise KernelStartFailed(f"Kernel did not respond within {limit:g}s" + _tail(path))
        # A look at it can't be cancelled; whoever gave up meanwhile wants no kernel.
        await trio.lowlevel.checkpoint_if_cancelled()
        return StartedKernel(connection, process, log_of(path))
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        remove_files(path)
        raise


def working_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where kernels run: the current folder, or one of the user's in place of `/`."""
    home = environ.get("HOME") or tempfile.gettempdir()
    try:
        current = Path.cwd()
    except OSError:  # removed
        current = Path("/")
    places = [current, Path(home) / "notebooks", Path(home), Path(tempfile.gettempdir())]
    return next(place for place in places if place != Path("/") and place.is_dir())


def _spawn(
    spec: KernelSpec, path: Path, environ: Mapping[str, str], folder: Path, *, tied: bool
) -> subprocess.Popen[bytes]:
    variables = {k: v for k, v in spec.environment(environ).items() if k not in _FOREIGN}
    if tied:
        variables["JPY_PARENT_PID"] = str(os.getpid())
    command = spec.command(path)
    with log_of(path).open("ab") as log:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            raise KernelStartFailed(f"{command[0]} can't be run: {error}") from error


async def _wait_answer(connection: ConnectionInfo, process: subprocess.Popen[bytes]) -> None:
    while True:
        if process.poll() is not None:
            raise KernelStartFailed(describe_exit(process.returncode, _text(connection.path)))
        (kernel,) = await trio.to_thread.run_sync(lambda: look_at([connection], limit=_LOOK))
        # Not merely a heartbeat, which comes before the kernel can do anything.
        if kernel.answers and kernel.implementation is not None:
            return
        await trio.sleep(_PAUSE)


def _tail(path: Path) -> str:
    text = _text(path)
    return f":\n{text}" if text else ""


def _text(path: Path) -> str:
    try:
        return log_of(path).read_bytes()[-_TAIL:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
