"""Running a room's cells: the queue, and the way from kernel messages to the document.

The queue decides (messages/queue.py), CellOutputs collects (outputs/cell_outputs.py); here their
commands are carried out, and the Publisher told what is new.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Protocol

import attrs
import trio

from runtimed.blobs.store import BlobStore
from runtimed.errors import CellNotFound, KernelDied, RuntimedError
from runtimed.kernels.kernel import Kernel
from runtimed.messages.comms import COMM_MESSAGES
from runtimed.messages.queue import Command, Execution, ExecutionQueue, Finish, Start
from runtimed.messages.wire import Message
from runtimed.outputs.cell_outputs import CellOutputs
from runtimed.protocol import broadcasts
from runtimed.protocol.structures import LaunchedEnvConfig
from runtimed.rooms.input_requests import InputPeers, InputRequests
from runtimed.rooms.publisher import Publisher, RoomChanges, Run
from runtimed.rooms.widgets import CommPeers, Widgets

__all__ = ["CellRunner", "LaunchedKernel"]

log = logging.getLogger(__name__)

#: Seconds between a kernel's word that it has taken up a cell and the cell's code. It loses an
#: interrupt that comes in between: longest before the first cell.
_GETTING_READY = 0.15


@attrs.define(eq=False)
class LaunchedKernel:
    """The kernel of a room and what its peers are told about it.

    `launched_config` grows with what is installed while the kernel runs.
    """

    kernel: Kernel
    kernel_type: str
    env_source: str
    launched_config: LaunchedEnvConfig
    notes: tuple[str, ...] = ()


class RunnerRoom(RoomChanges, CommPeers, InputPeers, Protocol):
    """What running cells needs of a room."""


class CellRunner:
    """Runs the cells of one room on whatever kernel it has."""

    def __init__(self, room: RunnerRoom, blobs: BlobStore) -> None:
        self._room = room
        self.queue = ExecutionQueue()
        self.publisher = Publisher(room, blobs, self.queue)
        self.widgets = Widgets(room)
        self.inputs = InputRequests(room)
        self.kernel: LaunchedKernel | None = None
        self.status = "not_started"
        self._runs: dict[str, Run] = {}
        self._current: Run | None = None
        self._last_of_cell: dict[str, str] = {}

    @property
    def used(self) -> bool:
        """Whether the kernel has run something, or is about to."""
        return bool(self._runs) or len(self.queue) > 0

    # ------------------------------------------------------------------ requests

    def execute(self, cell_id: str) -> Execution:
        """Queue a code cell. A cell that runs or waits is not queued again.

        Raises: CellNotFound; RuntimedError for a cell that is no code.
        """
        cell_type = self._room.document.cell_type(cell_id)
        if cell_type != "code":
            raise RuntimedError(f"Cannot execute non-code cell: {cell_id} (type: {cell_type})")
        execution = self.queue.find(cell_id)
        if execution is None:
            execution = Execution(id=str(uuid.uuid4()), cell_id=cell_id)
            self._carry_out(self.queue.add(execution))
            self.publisher.queue_changed()
        return execution

    def interrupt(self) -> None:
        """Drop what waits and interrupt what runs."""
        self._carry_out(self.queue.interrupted())
        self.publisher.queue_changed()
        self.publisher.publish()
        run = self._current
        if run is None or run.done or self.kernel is None:
            return
        if run.started is None:
            run.interrupt_wanted = True
        else:
            self._interrupt_run(self.kernel.kernel, run)

    def _interrupt_run(self, kernel: Kernel, run: Run) -> None:
        """Interrupt a run, once its code can be: a kernel that is about to begin ignores it."""
        assert run.started is not None
        rest = run.started + _GETTING_READY - trio.current_time()
        if rest <= 0:
            kernel.interrupt()
        else:
            kernel.interrupt_later(rest, lambda: run is self._current)

    def clear_outputs(self, cell_id: str) -> None:
        """Empty a cell's outputs and count, also of a cell that is running."""
        document = self._room.document
        with document.batch():
            document.clear_outputs(cell_id)
            document.set_execution_count(cell_id, None)
        self.publisher.displays.forget(cell_id)
        run = self._runs.get(self._last_of_cell.get(cell_id, ""))
        if run is not None:
            run.outputs.emptied()
        self._room.document_changed()
        self._room.broadcast(broadcasts.OutputsCleared(cell_id=cell_id))

    # ------------------------------------------------------------------ a kernel's life

    async def serve(self, launched: LaunchedKernel) -> None:
        """Run cells on a kernel. Returns when it has ended and all that waited has its outcome."""
        kernel = launched.kernel
        self.kernel = launched
        self.widgets.attach(kernel)
        self.inputs.attach(kernel)
        kernel.attach(self._handle)
        self._set_status("idle")
        self._carry_out(self.queue.kernel_is_ready())
        self.publisher.publish()
        try:
            await kernel.wait_ended()
        finally:
            kernel.attach(None)
            self._kernel_gone(kernel)

    def _kernel_gone(self, kernel: Kernel) -> None:
        self.kernel = None
        self.widgets.detach()
        self.inputs.detach()
        # One that still runs is let go of, because the room ends.
        asked = kernel.stop_requested or kernel.running
        reason = "The notebook was closed" if kernel.running else kernel.exit_text
        if self._current is not None:
            self._current.done = True
            self.publisher.flush(self._current)
        self._carry_out(self.queue.kernel_is_gone(reason))
        self._current = None
        self._runs.clear()
        self._last_of_cell.clear()
        self.publisher.queue_changed()
        if not asked:
            log.warning("kernel died kernel=%s reason=%s", kernel.kernel_id, reason)
            self.publisher.gather(broadcasts.KernelError(error=reason))
        self._set_status("shutdown" if asked else "error")
        if asked:
            self.status = "not_started"
        self.publisher.publish()

    def launch_began(self) -> None:
        self._set_status("starting")
        self.publisher.publish()

    def launch_failed(self, reason: str) -> None:
        """No kernel came up: cells that waited for it get their outcome."""
        self._carry_out(self.queue.kernel_is_gone(reason))
        self.publisher.queue_changed()
        self.status = "not_started"
        self.publisher.gather(broadcasts.KernelStatus(status=f"error: {reason}", cell_id=None))
        self.publisher.publish()

    # ------------------------------------------------------------------ what the queue says

    def _carry_out(self, commands: list[Command], ended: Run | None = None) -> None:
        """Do what the queue says. Starts go first: the kernel works while the rest is written."""
        pending = list(commands)
        finished: list[Finish] = []
        while pending:
            command = pending.pop(0)
            if isinstance(command, Start):
                pending += self._start(command.execution)
            else:
                finished.append(command)
        if ended is not None:
            self.publisher.flush(ended)
            ended.outputs.finish()
        for command in finished:
            self._finish(command)
        if self._current is not None and not self._current.announced:
            self._current.announced = True
            self._set_status("busy", self._current.execution.cell_id)

    def _start(self, execution: Execution) -> list[Command]:
        assert self.kernel is not None
        try:
            source = self._room.document.source(execution.cell_id)
            stale = len(self._room.document.outputs(execution.cell_id))
            self.widgets.send_outputs()
            msg_id = self.kernel.kernel.execute(source, allow_stdin=self.inputs.possible)
        except CellNotFound:
            return self.queue.cannot_start(execution.id, "the cell was deleted")
        except KernelDied:
            return []  # the end of the kernel is about to be noticed, with everything that waits
        if (last := self._last_of_cell.get(execution.cell_id)) is not None:
            self.publisher.forget(self._runs.pop(last, None))
        # Help is shown by the reply; anything else has been said when the kernel is idle again.
        replied = "?" not in source and "%" not in source
        self._current = Run(execution, CellOutputs(stale), replied=replied)
        self._runs[msg_id] = self._current
        self._last_of_cell[execution.cell_id] = msg_id
        self.publisher.displays.forget(execution.cell_id)
        return []

    def _finish(self, command: Finish) -> None:
        self.publisher.gather(
            broadcasts.ExecutionDone(
                cell_id=command.execution.cell_id,
                execution_id=command.execution.id,
                outcome=command.outcome,
                reason=command.reason,
            )
        )

    def _set_status(self, status: str, cell_id: str | None = None) -> None:
        self.status = status
        self.publisher.gather(broadcasts.KernelStatus(status=status, cell_id=cell_id))

    # ------------------------------------------------------------------ what the kernel says

    def _handle(self, channel: str, message: Message) -> None:
        run = self._runs.get(message.parent_id)
        if channel == "iopub":
            if self.widgets.captures and self.widgets.capture(message):
                # Where an error is shown does not change what it means for the cells behind it.
                if run is not None and message.msg_type == "error":
                    run.failed = True
            elif run is None:
                self.widgets.hear(message)
            elif (handler := _IOPUB.get(message.msg_type)) is not None:
                handler(self, run, message)
        elif channel == "stdin":
            self._asked(run, message)
        elif run is not None and message.msg_type == "execute_reply":
            self._reply(run, message)
        if run is not None and run is self._current and run.idle and run.replied:
            self._end(run)

    def _reply(self, run: Run, message: Message) -> None:
        run.replied = True
        if message.content.get("status") != "ok":
            run.failed = True
        for entry in message.content.get("payload") or ():
            if entry.get("source") == "page":
                run.outputs.display(entry.get("data") or {}, {}, None)
                self.publisher.changed(run)

    def _asked(self, run: Run | None, message: Message) -> None:
        if message.msg_type != "input_request":
            return
        if run is None:
            self.inputs.refuse()
            return
        self.publisher.publish()
        self.inputs.asked(message, run.execution)

    def _comm(self, run: Run, message: Message) -> None:
        self.widgets.hear(message)

    def _status(self, run: Run, message: Message) -> None:
        if message.content.get("execution_state") == "idle":
            run.idle = True

    def _execute_input(self, run: Run, message: Message) -> None:
        run.started = trio.current_time()
        run.count = message.content.get("execution_count")
        self.publisher.gather(
            broadcasts.ExecutionStarted(
                cell_id=run.execution.cell_id,
                execution_count=run.count or 0,
                execution_id=run.execution.id,
            )
        )
        self.publisher.mark(run)
        if run.interrupt_wanted and self.kernel is not None:
            run.interrupt_wanted = False
            self._interrupt_run(self.kernel.kernel, run)

    def _stream(self, run: Run, message: Message) -> None:
        run.outputs.stream(
            str(message.content.get("name", "stdout")), str(message.content.get("text", ""))
        )
        self.publisher.changed(run)

    def _display_data(self, run: Run, message: Message) -> None:
        run.outputs.display(
            message.content.get("data") or {},
            message.content.get("metadata") or {},
            _display_id(message),
        )
        self.publisher.changed(run)

    def _execute_result(self, run: Run, message: Message) -> None:
        run.outputs.result(
            message.content.get("data") or {},
            message.content.get("metadata") or {},
            message.content.get("execution_count"),
            _display_id(message),
        )
        self.publisher.changed(run)

    def _error(self, run: Run, message: Message) -> None:
        run.failed = True
        run.outputs.error(
            str(message.content.get("ename", "")),
            str(message.content.get("evalue", "")),
            [str(line) for line in message.content.get("traceback") or ()],
        )
        self.publisher.changed(run)

    def _clear_output(self, run: Run, message: Message) -> None:
        run.outputs.clear(bool(message.content.get("wait")))
        self.publisher.changed(run)

    def _update_display(self, run: Run, message: Message) -> None:
        display_id = _display_id(message)
        if display_id is None:
            return
        data = message.content.get("data") or {}
        metadata = message.content.get("metadata") or {}
        live = {id(run): run, **{id(other): other for other in self.publisher.waiting}}
        stored = []
        for cell_id, index in self.publisher.displays.find(display_id):
            other = self._runs.get(self._last_of_cell.get(cell_id, ""))
            if other is None:
                stored.append((cell_id, index))
            else:
                live[id(other)] = other
        showing = []
        for other in live.values():
            if other.outputs.update_display(display_id, data, metadata):
                self.publisher.changed(other)
                showing.append(other)
        update = broadcasts.DisplayUpdate(display_id=display_id, data=data, metadata=metadata)
        self.publisher.display_updated(update, showing, stored)

    def _end(self, run: Run) -> None:
        """The kernel has said everything about the current cell."""
        run.done = True
        self._current = None
        self.inputs.execution_ended(run.execution.id)
        ok = not run.failed
        commands = self.queue.ended(
            run.execution.id, ok=ok, stop=not ok and not self._may_fail(run.execution.cell_id)
        )
        self._carry_out(commands, ended=run)
        if self._current is None:
            self._set_status("idle", run.execution.cell_id)
        self.publisher.queue_changed()
        self.publisher.publish()

    def _may_fail(self, cell_id: str) -> bool:
        """Whether a cell carries Jupyter's tag that lets the notebook go on after its error."""
        try:
            tags = self._room.document.cell_metadata(cell_id).get("tags")
        except CellNotFound:
            return False
        return isinstance(tags, list) and "raises-exception" in tags


_IOPUB: dict[str, Callable[[CellRunner, Run, Message], None]] = {
    "status": CellRunner._status,
    "execute_input": CellRunner._execute_input,
    "stream": CellRunner._stream,
    "display_data": CellRunner._display_data,
    "execute_result": CellRunner._execute_result,
    "error": CellRunner._error,
    "clear_output": CellRunner._clear_output,
    "update_display_data": CellRunner._update_display,
    **dict.fromkeys(COMM_MESSAGES, CellRunner._comm),
}


def _display_id(message: Message) -> str | None:
    value = (message.content.get("transient") or {}).get("display_id")
    return str(value) if value is not None else None
