"""The execution of cells: waiting for results, streams of events, queueing without waiting."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import trio

from runtimed.client.arguments import as_flag, as_text, as_texts, as_timeout
from runtimed.client.editing import Editing
from runtimed.client.executions import CapturedCell, Ending, Execution
from runtimed.client.kernel_control import KernelControl
from runtimed.client.link import Link
from runtimed.client.membership import REQUEST_TIMEOUT
from runtimed.client.portal import on_trio
from runtimed.client.results import ExecutionResult, Output, QueueState
from runtimed.client.streams import (
    EventSubscription,
    ExecutionEventStream,
    Wake,
    cancelled_output,
    timed_out,
)
from runtimed.errors import CellNotFound, RequestFailed, RuntimedError
from runtimed.protocol import broadcasts, requests, responses

__all__ = ["Running"]


class Running(Editing, KernelControl):
    """The part of a session that is about executions."""

    @on_trio
    async def execute_cell(self, cell_id: str, timeout_secs: float = 60.0) -> ExecutionResult:
        """Run a code cell and wait for the end. Starts a kernel if there is none.

        An exception in the cell is a result with `success == False`, as are a dropped cell
        (`ExecutionCancelled`) and a kernel that died (`KernelError`). `timeout_secs` doesn't
        include the start of a kernel; a cell that takes longer goes on running.
        Raises: RuntimedError `Cell not found: ID`, `Execution timed out after N seconds`.
        """
        limit = as_timeout(timeout_secs)
        link = await self._connect()
        self._check_executable(link, cell_id)
        return await self._execute(link, cell_id, limit)

    @on_trio
    async def run(self, code: str, timeout_secs: float = 60.0) -> ExecutionResult:
        """Add a cell with this code at the end and run it."""
        limit = as_timeout(timeout_secs)
        as_text("code", code)
        link = await self._connect()
        return await self._execute(link, await self._create_cell(code), limit)

    @on_trio
    async def queue_cell(self, cell_id: str) -> None:
        """Have a code cell run without waiting for it. Starts no kernel.

        Raises: RuntimedError `Kernel not started. Call start_kernel() first.`
        """
        link = self._linked()
        self._check_executable(link, cell_id)
        request = requests.ExecuteCell(cell_id, heads=link.replica.document.heads)
        answer = await link.request(request, REQUEST_TIMEOUT)
        if isinstance(answer, responses.NoKernel):
            raise RuntimedError("Kernel not started. Call start_kernel() first.")

    @on_trio
    async def run_all_cells(self) -> int:
        """Queue all code cells in order, starting a kernel if there is none.

        Returns: how many there are, without waiting for them.
        """
        link = await self._connect()
        for _ in range(2):
            await self._start_kernel_if_needed()
            _announce_last_code_cell(link)
            request = requests.RunAllCells(heads=link.replica.document.heads)
            answer = await link.request(request, REQUEST_TIMEOUT)
            if isinstance(answer, responses.AllCellsQueued):
                return answer.count
            self._kernel.forget()  # ended without our hearing of it
        raise RuntimedError("No kernel running")

    async def _stream_execute(
        self, cell_id: str, timeout_secs: float, signal_only: bool
    ) -> ExecutionEventStream:
        limit = as_timeout(timeout_secs)
        as_flag("signal_only", signal_only)
        link = await self._connect()
        self._check_executable(link, cell_id)
        for _ in range(2):
            await self._start_kernel_if_needed()
            stream = await self._stream_once(
                link, cell_id, limit, silence=limit, signal_only=signal_only
            )
            if isinstance(stream, ExecutionEventStream):
                return stream
            self._kernel.forget()
        raise RuntimedError("No kernel running")

    async def _stream_in_turn(
        self, cell_id: str, waiting: Callable[[QueueState], None]
    ) -> ExecutionEventStream:
        """Run a cell once nothing else runs or waits; see `stream_in_turn`."""
        link = await self._connect()
        self._check_executable(link, cell_id)
        queue_is_free = _FreeQueue()
        link.listen(queue_is_free)
        try:
            while True:
                queue_is_free.expect()
                # Whether the cell is ours must be known, also when the caller is cancelled now.
                with trio.CancelScope(shield=True):
                    stream = await self._stream_once(
                        link, cell_id, REQUEST_TIMEOUT, silence=math.inf, alone=True
                    )
                if isinstance(stream, ExecutionEventStream):
                    return stream
                if stream is None:
                    raise RuntimedError("No kernel running")
                waiting(QueueState(executing=stream.executing, queued=stream.queued))
                await queue_is_free.wait()
        finally:
            link.unlisten(queue_is_free)

    async def _stream_once(
        self,
        link: Link,
        cell_id: str,
        limit: float,
        *,
        silence: float,
        signal_only: bool = False,
        alone: bool = False,
    ) -> ExecutionEventStream | responses.QueueState | None:
        """The events of a cell that is queued now; what is in its way; None without a kernel.

        Units: seconds; `limit` to queue it, `silence` between two events of the stream.
        """
        wake = Wake()
        execution = Execution(
            cell_id, wake.notify, lambda: _capture(link, cell_id), keep_events=True
        )
        link.listen(execution)
        try:
            await self._queue(link, execution, wake, limit, alone=alone)
        except BaseException:
            link.unlisten(execution)
            raise
        if not execution.no_kernel and execution.busy is None:
            return ExecutionEventStream(link, execution, wake, silence, signal_only)
        link.unlisten(execution)
        return execution.busy

    async def _queue(
        self, link: Link, execution: Execution, wake: Wake, limit: float, *, alone: bool
    ) -> None:
        link.announcer.place(execution.cell_id)
        request = requests.ExecuteCell(
            execution.cell_id, heads=link.replica.document.heads, alone=alone or None
        )
        number = link.send(request, execution.answer)
        try:
            with trio.move_on_after(limit):
                while not execution.answered and not execution.over:
                    await wake.wait()
        finally:
            link.forget(number)
        if not execution.answered and not execution.over:
            raise timed_out(limit)
        if execution.failure is not None:
            raise _translated(execution.failure, execution.cell_id)

    def _subscribe(
        self, cell_ids: Collection[str] | None, event_types: Collection[str] | None
    ) -> EventSubscription:
        link = self._link
        if link is None or not link.alive:
            raise RuntimedError("Not connected - call connect() or start_kernel() first")
        cells = None if cell_ids is None else as_texts("cell_ids", list(cell_ids))
        kinds = None if event_types is None else as_texts("event_types", list(event_types))
        return EventSubscription(link, cells, kinds)

    def _check_executable(self, link: Link, cell_id: str) -> None:
        cell_type = link.replica.document.cell_type(as_text("cell_id", cell_id))
        if cell_type != "code":
            raise RuntimedError(f"Cannot execute non-code cell: {cell_id} (type: {cell_type})")

    async def _execute(self, link: Link, cell_id: str, limit: float) -> ExecutionResult:
        for _ in range(2):
            await self._start_kernel_if_needed()
            with trio.move_on_after(limit) as scope:
                result = await self._execute_once(link, cell_id)
            if scope.cancelled_caught:
                raise timed_out(limit)
            if result is not None:
                return result
            self._kernel.forget()  # ended without our hearing of it: start another one
        raise RuntimedError("No kernel running")

    async def _execute_once(self, link: Link, cell_id: str) -> ExecutionResult | None:
        over = trio.Event()

        def changed() -> None:
            if execution.over:
                over.set()

        execution = Execution(cell_id, changed, lambda: _capture(link, cell_id))
        link.listen(execution)
        try:
            link.announcer.place(cell_id)
            request = requests.ExecuteCell(cell_id, heads=link.replica.document.heads)
            number = link.send(request, execution.answer)
            try:
                await over.wait()
            finally:
                link.forget(number)
        finally:
            link.unlisten(execution)
        if execution.failure is not None:
            raise _translated(execution.failure, cell_id)
        if execution.ending is None:
            return None
        return await self._result(link, cell_id, execution.ending)

    async def _result(self, link: Link, cell_id: str, ending: Ending) -> ExecutionResult:
        if ending.outcome == "kernel_died":
            reason = ending.reason or "Kernel died"
            error = Output(output_type="error", ename="KernelError", evalue=reason, traceback=[])
            return ExecutionResult(cell_id=cell_id, outputs=[error])
        if ending.outcome in ("aborted", "cancelled"):
            return ExecutionResult(cell_id=cell_id, outputs=[cancelled_output(ending.reason)])
        cell = ending.cell
        if cell is None:
            await link.wait_until(lambda: link.replica.in_step)
            cell = _capture(link, cell_id) or CapturedCell(None, ())
        outputs = await link.outputs.outputs(cell.outputs)
        failed = ending.outcome == "error" or any(o.output_type == "error" for o in outputs)
        return ExecutionResult(
            cell_id=cell_id,
            outputs=outputs,
            execution_count=cell.execution_count,
            success=not failed,
        )


class _FreeQueue:
    """Notices when nothing runs or waits any more."""

    def __init__(self) -> None:
        self._free = trio.Event()
        self._error: RuntimedError | None = None

    def expect(self) -> None:
        self._free = trio.Event()

    async def wait(self) -> None:
        await self._free.wait()
        if self._error is not None:
            raise self._error

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if (
            isinstance(broadcast, broadcasts.QueueChanged)
            and broadcast.executing is None
            and not broadcast.queued
        ):
            self._free.set()

    def end(self, error: RuntimedError) -> None:
        self._error = error
        self._free.set()


def _capture(link: Link, cell_id: str) -> CapturedCell | None:
    if not link.replica.in_step:
        return None
    document = link.replica.document
    if cell_id not in document:
        return CapturedCell(None, ())
    return CapturedCell(document.execution_count(cell_id), tuple(document.outputs(cell_id)))


def _announce_last_code_cell(link: Link) -> None:
    document = link.replica.document
    for cell_id in reversed(document.cell_ids()):
        if document.cell_type(cell_id) == "code":
            link.announcer.place(cell_id)
            return


def _translated(error: RuntimedError, cell_id: str) -> RuntimedError:
    if isinstance(error, RequestFailed) and str(error).startswith("Cell not found"):
        return CellNotFound(cell_id)
    return error
