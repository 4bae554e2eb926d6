"""Events as they happen: of one execution (`stream_execute`) or of a notebook (`subscribe`).

What arrives is kept until it is read, however slow the reader; outputs are resolved when they are
read. The iterators for blocking programs wrap those for asynchronous ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING, NoReturn

import orjson
import trio

from runtimed.client.arguments import seconds
from runtimed.client.executions import Execution
from runtimed.client.input_answers import input_request
from runtimed.client.link import Link
from runtimed.client.output_places import OutputPlaces
from runtimed.client.portal import on_trio, portal
from runtimed.client.results import ExecutionEvent, Output
from runtimed.errors import RuntimedError
from runtimed.protocol import broadcasts

__all__ = [
    "EventIteratorSubscription",
    "EventSubscription",
    "ExecutionEventIterator",
    "ExecutionEventStream",
    "Wake",
    "cancelled_output",
    "timed_out",
]


class Wake:
    """Tells whoever waits that something has changed; holds nothing else alive."""

    def __init__(self) -> None:
        self._lot = trio.lowlevel.ParkingLot()

    def notify(self) -> None:
        self._lot.unpark_all()

    async def wait(self) -> None:
        await self._lot.park()


def timed_out(limit: float) -> RuntimedError:
    return RuntimedError(f"Execution timed out after {seconds(limit)} seconds")


def cancelled_output(reason: str | None) -> Output:
    """The output that stands for a run which never came to be."""
    return Output(
        output_type="error",
        ename="ExecutionCancelled",
        evalue=reason or "The cell was dropped from the queue",
        traceback=[],
    )


async def output_event(
    link: Link,
    places: OutputPlaces,
    broadcast: broadcasts.Output,
    *,
    signal_only: bool = False,
) -> ExecutionEvent:
    """The event for an output that was announced."""
    index = broadcast.output_index
    if signal_only:
        return ExecutionEvent(
            event_type="output",
            cell_id=broadcast.cell_id,
            output_index=places.place(index, _stream_name(broadcast)),
        )
    output = await link.outputs.single(broadcast.output_json, broadcast.output_type)
    output_index, whole = places.place_output(index, output)
    return ExecutionEvent(
        event_type="output", cell_id=broadcast.cell_id, output=whole, output_index=output_index
    )


def _input_event(broadcast: broadcasts.InputRequest) -> ExecutionEvent:
    return ExecutionEvent(
        event_type="input_request",
        cell_id=broadcast.cell_id,
        input_request=input_request(broadcast),
    )


def _stream_name(broadcast: broadcasts.Output) -> str | None:
    if broadcast.output_type != "stream":
        return None
    try:
        name = orjson.loads(broadcast.manifest or broadcast.output_json).get("name")
    except (ValueError, AttributeError):
        name = None
    return name if isinstance(name, str) else "stdout"


class ExecutionEventStream:
    """The events of one run of a cell, for `async for`. Ends after `done` or `error`."""

    def __init__(
        self, link: Link, execution: Execution, wake: Wake, timeout: float, signal_only: bool
    ) -> None:
        self._link = link
        self._execution = execution
        self._wake = wake
        self._timeout = timeout
        self._signal_only = signal_only
        self._places = OutputPlaces()
        self._one_at_a_time = trio.Lock()
        self._final: deque[ExecutionEvent] | None = None
        self._handed_back: deque[ExecutionEvent] = deque()
        self._over = False

    def __aiter__(self) -> ExecutionEventStream:
        return self

    async def __anext__(self) -> ExecutionEvent:
        if trio.lowlevel.in_trio_task():
            return await self._take()
        return await portal().call_from_asyncio(self._take, self._handed_back.append)

    async def _take(self) -> ExecutionEvent:
        async with self._one_at_a_time:
            if self._handed_back:
                return self._handed_back.popleft()
            if self._over:
                raise StopAsyncIteration
            event = None
            try:
                with trio.move_on_after(self._timeout):
                    event = await self._next()
            except RuntimedError:
                self._stop()
                raise
            if event is None:
                self._stop()
                raise timed_out(self._timeout)
            if event.event_type in ("done", "error"):
                self._stop()
            return event

    async def _next(self) -> ExecutionEvent:
        execution = self._execution
        while True:
            if execution.events:
                # Taken off the queue last, so that a cancelled wait loses nothing.
                event = await self._event(execution.events[0])
                del execution.events[0]
                return event
            if execution.failure is not None:
                raise execution.failure
            if execution.ending is not None:
                if self._final is None:
                    await self._link.wait_until(lambda: self._link.replica.in_step)
                    self._final = deque(self._final_events())
                return self._final.popleft()
            await self._wake.wait()

    async def _event(self, broadcast: broadcasts.NotebookBroadcast) -> ExecutionEvent:
        if isinstance(broadcast, broadcasts.ExecutionStarted):
            self._places = OutputPlaces()
            return ExecutionEvent(
                event_type="execution_started",
                cell_id=broadcast.cell_id,
                execution_count=broadcast.execution_count,
            )
        if isinstance(broadcast, broadcasts.InputRequest):
            return _input_event(broadcast)
        assert isinstance(broadcast, broadcasts.Output)
        if self._signal_only:
            # News follow the sync message that they are about, so this is what was announced or
            # something newer: the output itself may have been revised meanwhile.
            await self._link.wait_until(lambda: self._link.replica.in_step)
        return await output_event(
            self._link, self._places, broadcast, signal_only=self._signal_only
        )

    def _final_events(self) -> list[ExecutionEvent]:
        ending = self._execution.ending
        assert ending is not None
        cell_id = self._execution.cell_id
        if ending.outcome == "kernel_died":
            return [
                ExecutionEvent(
                    event_type="error",
                    cell_id=cell_id,
                    error_message=ending.reason or "Kernel died",
                )
            ]
        done = ExecutionEvent(event_type="done", cell_id=cell_id)
        if ending.outcome in ("aborted", "cancelled"):
            output = cancelled_output(ending.reason)
            dropped = ExecutionEvent(
                event_type="output", cell_id=cell_id, output=output, output_index=0
            )
            return [dropped, done]
        return [done]

    def _stop(self) -> None:
        self._over = True
        self._link.unlisten(self._execution)

    def __del__(self) -> None:
        self._link.unlisten(self._execution)

    if not TYPE_CHECKING:  # a type checker says so by itself

        def __iter__(self) -> NoReturn:
            raise TypeError("this stream is asynchronous: use 'async for', not 'for'")

    def __repr__(self) -> str:
        return "ExecutionEventStream(...)"


class ExecutionEventIterator:
    """The events of one run of a cell, for `for`. Ends after `done` or `error`."""

    def __init__(self, stream: ExecutionEventStream) -> None:
        self._stream = stream

    def __iter__(self) -> ExecutionEventIterator:
        return self

    def __next__(self) -> ExecutionEvent:
        try:
            return portal().take(self._stream._take, self._stream._handed_back.append)
        except StopAsyncIteration:
            raise StopIteration from None

    def __repr__(self) -> str:
        return "ExecutionEventIterator(...)"


class _Heard:
    """The broadcasts of a notebook that a subscription wants and has not read yet.

    Unbounded: a slow reader loses nothing, and outputs are mostly references.
    """

    def __init__(self, cell_ids: Collection[str], event_types: Collection[str]) -> None:
        self._cell_ids = frozenset(cell_ids)
        self._event_types = frozenset(event_types)
        self.wake = Wake()
        self.waiting: deque[broadcasts.NotebookBroadcast] = deque()
        self.ended = False

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        kind = _event_type(broadcast)
        if kind is None or (self._event_types and kind not in self._event_types):
            return
        cell_id = getattr(broadcast, "cell_id", None)
        is_kernel_error = isinstance(broadcast, broadcasts.KernelError)
        if self._cell_ids and not is_kernel_error and cell_id not in self._cell_ids:
            return
        self.waiting.append(broadcast)
        self.wake.notify()

    def end(self, error: RuntimedError) -> None:
        self.ended = True
        self.wake.notify()


def _event_type(broadcast: broadcasts.NotebookBroadcast) -> str | None:
    if isinstance(broadcast, broadcasts.ExecutionStarted):
        return "execution_started"
    if isinstance(broadcast, broadcasts.Output):
        return "output"
    if isinstance(broadcast, broadcasts.ExecutionDone):
        return "error" if broadcast.outcome == "kernel_died" else "done"
    if isinstance(broadcast, broadcasts.KernelError):
        return "error"
    if isinstance(broadcast, broadcasts.KernelStatus):
        return "kernel_status"
    if isinstance(broadcast, broadcasts.InputRequest):
        return "input_request"
    return None


class EventSubscription:
    """The events of a notebook from the subscription on, for `async for`.

    Ends when the connection does, or by `close`, also while somebody waits for the next event.
    """

    def __init__(
        self, link: Link, cell_ids: Collection[str] | None, event_types: Collection[str] | None
    ) -> None:
        self._link = link
        self._heard = _Heard(cell_ids or (), event_types or ())
        self._places: dict[str, OutputPlaces] = {}
        self._handed_back: deque[ExecutionEvent] = deque()
        self._one_at_a_time = trio.Lock()
        link.listen(self._heard)

    def __aiter__(self) -> EventSubscription:
        return self

    async def __anext__(self) -> ExecutionEvent:
        if trio.lowlevel.in_trio_task():
            return await self._take()
        return await portal().call_from_asyncio(self._take, self._handed_back.append)

    async def _take(self) -> ExecutionEvent:
        heard = self._heard
        async with self._one_at_a_time:
            if self._handed_back:
                return self._handed_back.popleft()
            while not heard.waiting:
                if heard.ended:
                    raise StopAsyncIteration
                await heard.wake.wait()
            event = await self._event(heard.waiting[0])
            if heard.waiting:  # else closed meanwhile
                heard.waiting.popleft()
            return event

    @on_trio
    async def close(self) -> None:
        """End the subscription; what was not read yet is dropped."""
        self._link.unlisten(self._heard)
        self._heard.waiting.clear()
        self._handed_back.clear()
        self._heard.ended = True
        self._heard.wake.notify()

    async def _event(self, broadcast: broadcasts.NotebookBroadcast) -> ExecutionEvent:
        kind = _event_type(broadcast)
        assert kind is not None
        if isinstance(broadcast, broadcasts.Output):
            places = self._places.setdefault(broadcast.cell_id, OutputPlaces())
            return await output_event(self._link, places, broadcast)
        if isinstance(broadcast, broadcasts.ExecutionStarted):
            self._places.pop(broadcast.cell_id, None)
            return ExecutionEvent(
                event_type=kind,
                cell_id=broadcast.cell_id,
                execution_count=broadcast.execution_count,
            )
        if isinstance(broadcast, broadcasts.KernelStatus):
            return ExecutionEvent(
                event_type=kind,
                cell_id=broadcast.cell_id or "",
                error_message=broadcast.status,
                status=broadcast.status,
            )
        if isinstance(broadcast, broadcasts.InputRequest):
            return _input_event(broadcast)
        if isinstance(broadcast, broadcasts.KernelError):
            return ExecutionEvent(event_type=kind, error_message=broadcast.error)
        assert isinstance(broadcast, broadcasts.ExecutionDone)
        return ExecutionEvent(
            event_type=kind, cell_id=broadcast.cell_id, error_message=broadcast.reason
        )

    def __del__(self) -> None:
        heard = getattr(self, "_heard", None)
        if heard is not None:
            self._link.unlisten(heard)

    if not TYPE_CHECKING:  # a type checker says so by itself

        def __iter__(self) -> NoReturn:
            raise TypeError("this subscription is asynchronous: use 'async for', not 'for'")

    def __repr__(self) -> str:
        return "EventSubscription(...)"


class EventIteratorSubscription:
    """The events of a notebook from the subscription on, for `for`."""

    def __init__(self, subscription: EventSubscription) -> None:
        self._subscription = subscription

    def __iter__(self) -> EventIteratorSubscription:
        return self

    def __next__(self) -> ExecutionEvent:
        try:
            subscription = self._subscription
            return portal().take(subscription._take, subscription._handed_back.append)
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """End the subscription, also while another thread waits for the next event."""
        portal().call(self._subscription.close)

    def __repr__(self) -> str:
        return "EventIteratorSubscription(...)"
