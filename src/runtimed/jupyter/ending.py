"""Interrupting and stopping kernels that are no children of ours.

A kernel is asked first. A signal is sent only to a process that is known to be it: the one that was
noted when we started it, or the one that holds all of its ports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import datetime, timezone

import trio
import zmq

from runtimed.errors import KernelNotStopped, RemoteProtocolError
from runtimed.jupyter.connection_files import ConnectionInfo
from runtimed.jupyter.knocking import Door, knock
from runtimed.jupyter.own_files import noted_process, remove_files
from runtimed.jupyter.processes import find_processes
from runtimed.kernels.registry import KernelRecord, record_process
from runtimed.kernels.zmq_stream import ZmqStream
from runtimed.messages.wire import WireFormat

__all__ = ["ASK_GRACE", "interrupt_kernel", "known_process", "runs", "stop_kernel"]

#: Seconds a kernel gets to end by itself, and then to end after SIGTERM.
ASK_GRACE = 5.0
TERMINATE_GRACE = 2.0

#: Seconds for a killed process to go, which one that waits for a broken disk does not.
_KILL_LIMIT = 10.0

#: Seconds for the reply to an interrupt_request.
_REPLY_LIMIT = 2.0

#: Seconds for another machine to answer a knock, and between two looks.
_KNOCK = 1.0
_LOOK = 0.05


def known_process(kernel: ConnectionInfo) -> KernelRecord | None:
    """The process that is known to be this kernel, if it runs. Blocks."""
    noted = noted_process(kernel.path)
    if noted is not None and runs(noted):
        return noted
    found = find_processes([kernel]).get(kernel.path)
    return record_process(found.pid) if found is not None and found.listens else None


async def stop_kernel(
    kernel: ConnectionInfo, *, grace: float = ASK_GRACE, terminate_grace: float = TERMINATE_GRACE
) -> bool:
    """End a kernel and, once it is gone, remove its file; whether there was one to end.

    It is asked, then terminated, then killed, with its whole session if it leads one.
    Raises: KernelNotStopped, and nothing has been removed.
    """
    process = await trio.to_thread.run_sync(known_process, kernel)
    if process is None and await _door(kernel) == "closed":
        remove_files(kernel.path)
        return False
    with trio.move_on_after(grace):
        await _ask(kernel, "shutdown_request", {"restart": False})
        await _wait_gone(kernel, process)
    if process is None:
        # It may have bound its ports only since.
        process = await trio.to_thread.run_sync(known_process, kernel)
    if process is None:
        if await _door(kernel) != "closed":
            raise KernelNotStopped(
                f"Kernel {kernel.kernel_id} does not answer, and which process it is can't be told"
            )
    else:
        await _terminate(process, terminate_grace)
        if runs(process):
            raise KernelNotStopped(f"Process {process.pid} of {kernel.kernel_id} can't be ended")
    # Whoever looks after the kernel may have started it anew at once, with the same file.
    if await trio.to_thread.run_sync(known_process, kernel) is None:
        remove_files(kernel.path)
    return True


async def interrupt_kernel(kernel: ConnectionInfo) -> None:
    """Interrupt what a kernel runs, by a message; by SIGINT if it takes none.

    Raises: KernelNotStopped if it does not answer and its process is not known.
    """
    with trio.move_on_after(_REPLY_LIMIT):
        if await _door(kernel) != "closed" and await _ask(kernel, "interrupt_request", {}):
            return
    process = await trio.to_thread.run_sync(known_process, kernel)
    if process is None:
        raise KernelNotStopped(
            f"Kernel {kernel.kernel_id} does not answer, and which process it is can't be told"
        )
    _signal(process, signal.SIGINT)


async def _ask(kernel: ConnectionInfo, msg_type: str, content: dict[str, bool]) -> bool:
    """Ask on the control channel; whether the kernel has done it. The caller sets the limit."""
    wire = WireFormat(kernel.key, session=f"runt-{os.getpid()}", username="runt")
    with zmq.Context() as context:
        if ":" in kernel.ip and kernel.transport == "tcp":
            context.setsockopt(zmq.IPV6, 1)
        with ZmqStream(context, zmq.DEALER, kernel.address("control")) as control:
            control.send(wire.request(msg_type, content, datetime.now(timezone.utc).isoformat())[1])
            frames = (await control.receive())[0]
    try:
        return bool(wire.parse(frames).content.get("status", "ok") == "ok")
    except RemoteProtocolError:
        return False


async def _wait_gone(kernel: ConnectionInfo, process: KernelRecord | None) -> None:
    while True:
        here = runs(process) if process is not None else await _door(kernel) != "closed"
        if not here:
            return
        await trio.sleep(_LOOK)


async def _terminate(process: KernelRecord, grace: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not runs(process):
            return
        _signal(process, number)
        with trio.move_on_after(grace if number == signal.SIGTERM else _KILL_LIMIT):
            while runs(process):  # noqa: ASYNC110 - the end of no child of ours is an event
                await trio.sleep(_LOOK)


def _signal(process: KernelRecord, number: signal.Signals) -> None:
    """Signal a process, with its group if it leads one, as kernels that Jupyter starts do."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            os.kill(process.pid, number)


def runs(process: KernelRecord) -> bool:
    """Whether this very process is there, and not another with its number."""
    return process.pid > 1 and process.started != "" and record_process(process.pid) == process


async def _door(kernel: ConnectionInfo) -> Door:
    def look() -> Door:
        return next(door for _, door in knock([kernel], time.monotonic() + _KNOCK, "control"))

    return await trio.to_thread.run_sync(look)
