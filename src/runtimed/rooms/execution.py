"""Running a room's cells: the queue, and the way from kernel messages to the document.

The queue decides (messages/queue.py), CellOutputs collects (outputs/cell_outputs.py); here their
commands are carried out. Changes are gathered and published together: at once when a cell ends, a
few milliseconds after the first one otherwise, so that a short cell costs its peers one message.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import attrs
import orjson
import trio

from runtimed.blobs.store import BlobStore
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import BlobStoreFull, CellNotFound, KernelDied, RuntimedError
from runtimed.kernels.kernel import Kernel, KernelMessage
from runtimed.messages.queue import Command, Execution, ExecutionQueue, Finish, Start
from runtimed.messages.wire import Message
from runtimed.outputs.cell_outputs import CellOutputs, SetOutput, Truncate
from runtimed.outputs.display_index import DisplayIndex
from runtimed.outputs.manifest import (
    MANIFEST_MEDIA_TYPE,
    Manifest,
    updated_manifest,
)
from runtimed.protocol import broadcasts
from runtimed.protocol.structures import LaunchedEnvConfig

__all__ = ["CellRunner", "LaunchedKernel", "RoomChanges"]

log = logging.getLogger(__name__)

#: Seconds between an output, or mere news of queue and kernel, and their publication: what belongs
#: together travels together, and a cell that ends sooner costs its peers one message.
_GATHER = 0.007
_GATHER_NEWS = 0.02

#: Seconds for each waiting cell between two broadcasts of the queue.
_QUEUE_NEWS_PER_CELL = 0.0002

#: Seconds between two publications of a stream that grows: the first, and the longest.
_STREAM_INTERVAL = 0.1
_STREAM_INTERVAL_LONGEST = 1.0


class RoomChanges(Protocol):
    """What the runner needs of its room: a place for changes."""

    document: NotebookDocument

    def document_changed(self) -> None: ...

    def broadcast(self, message: broadcasts.NotebookBroadcast) -> None: ...


@attrs.frozen
class LaunchedKernel:
    """The kernel of a room and what its peers are told about it."""

    kernel: Kernel
    kernel_type: str
    env_source: str
    launched_config: LaunchedEnvConfig


@attrs.define
class _Run:
    """One execution under way, or a finished one whose threads may still print."""

    execution: Execution
    outputs: CellOutputs
    count: int | None = None
    count_written: bool = False
    announced: bool = False
    started: bool = False
    idle: bool = False
    replied: bool = False
    failed: bool = False
    done: bool = False
    interrupt_wanted: bool = False
    next_stream: float = 0.0
    interval: float = _STREAM_INTERVAL


class CellRunner:
    """Runs the cells of one room on whatever kernel it has."""

    def __init__(self, room: RoomChanges, blobs: BlobStore) -> None:
        self._room = room
        self._blobs = blobs
        self.queue = ExecutionQueue()
        self.kernel: LaunchedKernel | None = None
        self.status = "not_started"
        self._runs: dict[str, _Run] = {}
        self._current: _Run | None = None
        self._last_of_cell: dict[str, str] = {}
        self._dirty: dict[str, _Run] = {}
        self._displays = DisplayIndex()
        self._gathered: list[broadcasts.NotebookBroadcast] = []
        self._queue_is_news = False
        self._next_queue_news = 0.0
        self._publication = trio.CancelScope()  # its deadline is when to publish; see run_publisher

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
            self._queue_changed()
        return execution

    def interrupt(self) -> None:
        """Drop what waits and interrupt what runs."""
        self._carry_out(self.queue.interrupted())
        self._queue_changed()
        self.publish()
        run = self._current
        if run is None or run.done or self.kernel is None:
            return
        # Before the kernel has taken up the cell it would ignore the signal.
        if run.started:
            self.kernel.kernel.interrupt()
        else:
            run.interrupt_wanted = True

    def clear_outputs(self, cell_id: str) -> None:
        """Empty a cell's outputs and count, also of a cell that is running."""
        document = self._room.document
        with document.batch():
            document.clear_outputs(cell_id)
            document.set_execution_count(cell_id, None)
        self._displays.forget(cell_id)
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
        kernel.attach()
        self._set_status("idle")
        self._carry_out(self.queue.kernel_is_ready())
        self.publish()
        try:
            async for batch in kernel.messages:
                for item in batch:
                    self._handle(item)
        finally:
            self._kernel_gone(kernel)

    def _kernel_gone(self, kernel: Kernel) -> None:
        self.kernel = None
        # One that still runs is let go of, because the room ends.
        asked = kernel.stop_requested or kernel.running
        reason = "The notebook was closed" if kernel.running else kernel.exit_text
        if self._current is not None:
            self._current.done = True
            self._flush(self._current)
        self._carry_out(self.queue.kernel_is_gone(reason))
        self._current = None
        self._runs.clear()
        self._dirty.clear()
        self._last_of_cell.clear()
        self._queue_changed()
        if not asked:
            log.warning("kernel died kernel=%s reason=%s", kernel.kernel_id, reason)
            self._gather(broadcasts.KernelError(error=reason))
        self._set_status("shutdown" if asked else "error")
        if asked:
            self.status = "not_started"
        self.publish()

    def launch_began(self) -> None:
        self._set_status("starting")
        self.publish()

    def launch_failed(self, reason: str) -> None:
        """No kernel came up: cells that waited for it get their outcome."""
        self._carry_out(self.queue.kernel_is_gone(reason))
        self._queue_changed()
        self.status = "not_started"
        self._gather(broadcasts.KernelStatus(status=f"error: {reason}", cell_id=None))
        self.publish()

    # ------------------------------------------------------------------ what the queue says

    def _carry_out(self, commands: list[Command], ended: _Run | None = None) -> None:
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
            self._flush(ended)
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
            msg_id = self.kernel.kernel.execute(source)
        except CellNotFound:
            return self.queue.cannot_start(execution.id, "the cell was deleted")
        except KernelDied:
            return []  # the end of the kernel is about to be noticed, with everything that waits
        if (last := self._last_of_cell.get(execution.cell_id)) is not None:
            self._runs.pop(last, None)
        # Help is shown by the reply; anything else has been said when the kernel is idle again.
        replied = "?" not in source and "%" not in source
        self._current = _Run(execution, CellOutputs(stale), replied=replied)
        self._runs[msg_id] = self._current
        self._last_of_cell[execution.cell_id] = msg_id
        self._displays.forget(execution.cell_id)
        return []

    def _finish(self, command: Finish) -> None:
        self._gather(
            broadcasts.ExecutionDone(
                cell_id=command.execution.cell_id,
                execution_id=command.execution.id,
                outcome=command.outcome,
                reason=command.reason,
            )
        )

    def _queue_changed(self) -> None:
        self._queue_is_news = True
        self._publish_by(trio.current_time() + _GATHER_NEWS)

    def _tell_queue(self) -> None:
        """Broadcast the queue as it is now; a long one seldom, since it is told whole."""
        now = trio.current_time()
        waiting = len(self.queue)
        if waiting and now < self._next_queue_news:
            self._publish_by(self._next_queue_news)
            return
        executing = self.queue.executing
        self._gathered.append(
            broadcasts.QueueChanged(
                executing=executing.cell_id if executing else None,
                queued=[entry.cell_id for entry in self.queue.queued],
            )
        )
        self._queue_is_news = False
        self._next_queue_news = now + waiting * _QUEUE_NEWS_PER_CELL

    def _set_status(self, status: str, cell_id: str | None = None) -> None:
        self.status = status
        self._gather(broadcasts.KernelStatus(status=status, cell_id=cell_id))

    # ------------------------------------------------------------------ what the kernel says

    def _handle(self, item: KernelMessage) -> None:
        message = item.message
        run = self._runs.get(message.parent_id)
        if item.channel == "shell":
            if run is not None and message.msg_type == "execute_reply":
                self._reply(run, message)
        elif run is not None:
            handler = _IOPUB.get(message.msg_type)
            if handler is not None:
                handler(self, run, message)
        if run is not None and run is self._current and run.idle and run.replied:
            self._end(run)

    def _reply(self, run: _Run, message: Message) -> None:
        run.replied = True
        if message.content.get("status") != "ok":
            run.failed = True
        for entry in message.content.get("payload") or ():
            if entry.get("source") == "page":
                run.outputs.display(entry.get("data") or {}, {}, None)
                self._changed(run)

    def _status(self, run: _Run, message: Message) -> None:
        if message.content.get("execution_state") == "idle":
            run.idle = True

    def _execute_input(self, run: _Run, message: Message) -> None:
        run.started = True
        run.count = message.content.get("execution_count")
        self._gather(
            broadcasts.ExecutionStarted(
                cell_id=run.execution.cell_id,
                execution_count=run.count or 0,
                execution_id=run.execution.id,
            )
        )
        self._dirty[run.execution.id] = run
        if run.interrupt_wanted and self.kernel is not None:
            run.interrupt_wanted = False
            self.kernel.kernel.interrupt()

    def _stream(self, run: _Run, message: Message) -> None:
        run.outputs.stream(
            str(message.content.get("name", "stdout")), str(message.content.get("text", ""))
        )
        self._changed(run)

    def _display_data(self, run: _Run, message: Message) -> None:
        run.outputs.display(
            message.content.get("data") or {},
            message.content.get("metadata") or {},
            _display_id(message),
        )
        self._changed(run)

    def _execute_result(self, run: _Run, message: Message) -> None:
        run.outputs.result(
            message.content.get("data") or {},
            message.content.get("metadata") or {},
            message.content.get("execution_count"),
            _display_id(message),
        )
        self._changed(run)

    def _error(self, run: _Run, message: Message) -> None:
        run.failed = True
        run.outputs.error(
            str(message.content.get("ename", "")),
            str(message.content.get("evalue", "")),
            [str(line) for line in message.content.get("traceback") or ()],
        )
        self._changed(run)

    def _clear_output(self, run: _Run, message: Message) -> None:
        run.outputs.clear(bool(message.content.get("wait")))
        self._changed(run)

    def _update_display(self, run: _Run, message: Message) -> None:
        display_id = _display_id(message)
        if display_id is None:
            return
        data = message.content.get("data") or {}
        metadata = message.content.get("metadata") or {}
        live = {id(run): run, **{id(other): other for other in self._dirty.values()}}
        for cell_id, index in self._displays.find(display_id):
            other = self._runs.get(self._last_of_cell.get(cell_id, ""))
            if other is None:
                self._update_stored(cell_id, index, data, metadata)
            else:
                live[id(other)] = other
        for other in live.values():
            if other.outputs.update_display(display_id, data, metadata):
                self._changed(other)
        self._gather(broadcasts.DisplayUpdate(display_id=display_id, data=data, metadata=metadata))

    def _update_stored(
        self, cell_id: str, index: int, data: dict[str, Any], metadata: dict[str, Any]
    ) -> None:
        document = self._room.document
        try:
            stored = self._blobs.read(document.outputs(cell_id)[index])
            if stored is None:
                return
            manifest = updated_manifest(orjson.loads(stored), data, metadata)
            self._store(manifest)
        except (BlobStoreFull, CellNotFound, IndexError, ValueError):
            return  # removed by somebody meanwhile, or no place for the new one: the old one stays
        document.replace_output(cell_id, index, manifest.hash)
        self._room.document_changed()

    def _end(self, run: _Run) -> None:
        """The kernel has said everything about the current cell."""
        run.done = True
        self._current = None
        ok = not run.failed
        commands = self.queue.ended(
            run.execution.id, ok=ok, stop=not ok and not self._may_fail(run.execution.cell_id)
        )
        self._carry_out(commands, ended=run)
        if self._current is None:
            self._set_status("idle", run.execution.cell_id)
        self._queue_changed()
        self.publish()

    def _may_fail(self, cell_id: str) -> bool:
        """Whether a cell carries Jupyter's tag that lets the notebook go on after its error."""
        try:
            tags = self._room.document.cell_metadata(cell_id).get("tags")
        except CellNotFound:
            return False
        return isinstance(tags, list) and "raises-exception" in tags

    # ------------------------------------------------------------------ publishing

    def _gather(self, message: broadcasts.NotebookBroadcast) -> None:
        """Keep a broadcast until the next publication."""
        self._gathered.append(message)
        self._publish_by(trio.current_time() + _GATHER_NEWS)

    def _changed(self, run: _Run) -> None:
        """A run has new output. Growth of a published stream waits longer than anything new."""
        self._dirty[run.execution.id] = run
        due = trio.current_time() + _GATHER
        if run.outputs.only_grown:
            due = max(due, run.next_stream)
        self._publish_by(due)

    def _publish_by(self, due: float) -> None:
        # Moving a deadline wakes nobody: a cell that ends before it costs no task switch.
        if due < self._publication.deadline:
            self._publication.deadline = due

    async def run_publisher(self) -> None:
        """Publish when it is due. Runs until cancelled."""
        while True:
            with self._publication:
                await trio.sleep_forever()
            self._publication = trio.CancelScope()
            self.publish()

    def publish(self) -> None:
        """Write gathered outputs to the document, then hand the broadcasts to the peers."""
        if not self._publication.cancel_called:
            self._publication.deadline = math.inf
        for run in list(self._dirty.values()):
            self._flush(run)
        if self._queue_is_news:
            self._tell_queue()
        gathered, self._gathered = self._gathered, []
        for message in gathered:
            self._room.broadcast(message)

    def _flush(self, run: _Run) -> None:
        """One document change for everything new of a run."""
        self._dirty.pop(run.execution.id, None)
        changes = run.outputs.take_changes()
        document = self._room.document
        cell_id = run.execution.cell_id
        if cell_id not in document:
            return
        hints: list[broadcasts.NotebookBroadcast] = []
        with document.batch():
            if run.count is not None and not run.count_written:
                document.set_execution_count(cell_id, run.count)
                run.count_written = True
            for change in changes:
                hints += self._apply(run, change)
        now = trio.current_time()
        run.next_stream = now + run.interval
        run.interval = min(run.interval * 1.1, _STREAM_INTERVAL_LONGEST)
        self._room.document_changed()
        self._gathered += hints

    def _apply(self, run: _Run, change: SetOutput | Truncate) -> list[broadcasts.NotebookBroadcast]:
        document = self._room.document
        cell_id = run.execution.cell_id
        present = document.outputs(cell_id)
        if isinstance(change, Truncate):
            if change.length < len(present):
                document.set_outputs(cell_id, present[: change.length])
            self._displays.truncate(cell_id, change.length)
            return [broadcasts.OutputsCleared(cell_id=cell_id)] if change.length == 0 else []
        manifest = change.manifest
        try:
            self._store(manifest)
            entry = manifest.hash
        except BlobStoreFull as error:
            entry = _not_stored(error)
        # A peer may have removed outputs of the running cell: then what comes goes to the end.
        if change.index < len(present):
            document.replace_output(cell_id, change.index, entry)
        else:
            document.append_output(cell_id, entry)
        self._displays.set(cell_id, change.index, manifest.display_id)
        return [
            broadcasts.Output(
                cell_id=cell_id,
                output_type=manifest.output_type,
                output_json=entry,
                output_index=change.index,
                execution_id=run.execution.id,
                manifest=manifest.json.decode() if entry == manifest.hash else None,
            )
        ]

    def _store(self, manifest: Manifest) -> None:
        for blob in manifest.blobs:
            self._blobs.put_nowait(blob.data, blob.media_type, blob.hash)
        self._blobs.put_nowait(manifest.json, MANIFEST_MEDIA_TYPE, manifest.hash)


_IOPUB: dict[str, Callable[[CellRunner, _Run, Message], None]] = {
    "status": CellRunner._status,
    "execute_input": CellRunner._execute_input,
    "stream": CellRunner._stream,
    "display_data": CellRunner._display_data,
    "execute_result": CellRunner._execute_result,
    "error": CellRunner._error,
    "clear_output": CellRunner._clear_output,
    "update_display_data": CellRunner._update_display,
}


def _not_stored(error: BlobStoreFull) -> str:
    """What stands in the document for an output that there was no place for: raw output JSON."""
    text = f"[an output was lost: {error}]\n"
    return orjson.dumps({"output_type": "stream", "name": "stderr", "text": text}).decode()


def _display_id(message: Message) -> str | None:
    value = (message.content.get("transient") or {}).get("display_id")
    return str(value) if value is not None else None
