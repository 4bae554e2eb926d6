"""Calls given up by asyncio programs and by Ctrl-C, at each step the portal takes for them.

An instrument on the portal's loop counts the steps of the call and holds the loop at one of them
until the caller has given up.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trio
from cancelling_calls import CALLS, COMPOSED, STATES
from fake_daemon import FakeDaemon

from runtimed import AsyncSession, ExecutionEvent, RuntimedError, Session
from runtimed.client.portal import portal
from waiting import wait_until

pytest_plugins = ["fake_daemon_fixture"]
pytestmark = pytest.mark.real


class GiveUpAt(trio.abc.Instrument):
    """Has the next call on the portal given up at its n-th step. To be used in `armed`."""

    def __init__(self, n: int, give_up: Callable[[], object]) -> None:
        self.given_up = threading.Event()  # to be set by the caller, once he has
        self.fired = False
        self._n = n
        self._give_up = give_up
        self._task: trio.lowlevel.Task | None = None
        self._steps = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        if self._task is None and task.coro.__qualname__ == "_Call.run":
            self._task = task

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            if self._steps == self._n:
                self.fired = True
                self._give_up()
                self.given_up.wait(30)
            self._steps += 1


@contextmanager
def armed(instrument: GiveUpAt) -> Iterator[GiveUpAt]:
    token = portal()._running_token()
    added, removed = threading.Event(), threading.Event()

    def add() -> None:
        trio.lowlevel.add_instrument(instrument)
        added.set()

    def remove() -> None:
        trio.lowlevel.remove_instrument(instrument)
        removed.set()

    token.run_sync_soon(add)
    added.wait(30)
    try:
        yield instrument
    finally:
        instrument.given_up.set()
        token.run_sync_soon(remove)
        removed.wait(30)


def is_clean(session: AsyncSession, listeners: int) -> bool:
    link = session._link
    assert link is not None
    return not link._pending and len(link._listeners) == listeners


def listeners_of(session: AsyncSession) -> int:
    assert session._link is not None
    return len(session._link._listeners)


async def use(session: AsyncSession, cell_id: str, number: int, listeners: int) -> None:
    while (await session.get_queue_state()).executing:  # noqa: ASYNC110 - not begun anew
        await asyncio.sleep(0.001)
    await session.set_cell_type(cell_id, "code")
    await session.set_source(cell_id, f"say {number}")
    assert (await session.execute_cell(cell_id)).stdout == f"{number}\n"
    assert (await session.get_cell(cell_id)).execution_count is not None
    with suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(until(lambda: is_clean(session, listeners)), 30)
    assert is_clean(session, listeners), (session._link._pending, session._link._listeners)  # type: ignore[union-attr]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def cancelled_at(n: int, call: Any) -> bool:
    """Make a call in a task and cancel it there. Whether it was to be cancelled in time."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(call)
    instrument = GiveUpAt(n, lambda: loop.call_soon_threadsafe(task.cancel))
    task.add_done_callback(lambda _: instrument.given_up.set())
    with armed(instrument), suppress(asyncio.CancelledError, RuntimedError):
        await task
    return instrument.fired


@pytest.mark.parametrize("name", [*CALLS, *(COMPOSED.keys() - {"subscribe"})])
def test_a_task_of_asyncio_may_be_cancelled_at_every_step(daemon: FakeDaemon, name: str) -> None:
    call = {**CALLS, **COMPOSED}[name]

    async def main() -> None:
        async with AsyncSession("n") as session:
            await session.start_kernel()
            cell_id = await session.create_cell("say x")
            listeners = listeners_of(session)
            await use(session, cell_id, 0, listeners)
            for n in range(100):
                fired = await cancelled_at(n, call(session, cell_id))
                await use(session, cell_id, n, listeners)
                if not fired:
                    return
            raise AssertionError("the call never gets through")

    asyncio.run(asyncio.wait_for(main(), 180))


@pytest.mark.parametrize("how", ["stream", "subscription"])
def test_an_event_that_a_cancelled_task_has_missed_comes_again(
    daemon: FakeDaemon, how: str
) -> None:
    async def main() -> None:
        async with AsyncSession("n") as session:
            await session.start_kernel()
            cell_id = await session.create_cell("\n".join(f"show {n}" for n in range(12)))
            subscription = session.subscribe([cell_id], ["output"])
            stream = await session.stream_execute(cell_id)
            events: Any = stream if how == "stream" else subscription
            await session.execute_cell(cell_id)  # the same run: all has happened at its end
            heard: list[ExecutionEvent] = []

            async def hear() -> None:
                heard.append(await anext(events))

            for n in range(4):
                await cancelled_at(n, hear())
            while len(heard) < 12:
                await hear()
            assert [e.output_index for e in heard if e.output is not None] == list(
                range(sum(e.output is not None for e in heard))
            )
            await subscription.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_every_method_gives_a_coroutine_for_every_way_to_run_it(daemon: FakeDaemon) -> None:
    calls = {**CALLS, **STATES}

    async def main() -> None:
        async with AsyncSession("n") as session:
            await session.start_kernel()
            cell_id = await session.create_cell("say x")
            for name, call in calls.items():
                coroutine = call(session, cell_id)
                assert inspect.iscoroutine(coroutine), name
                with suppress(RuntimedError):
                    await asyncio.create_task(coroutine)
                with suppress(RuntimedError):
                    await asyncio.wait_for(call(session, cell_id), 60)
            both = await asyncio.gather(
                *(call(session, cell_id) for call in calls.values()), return_exceptions=True
            )
            assert all(isinstance(e, RuntimedError) or not isinstance(e, Exception) for e in both)
            # Together they have stopped the kernel, and more; it goes on from here.
            assert (await session.run("say on")).stdout == "on\n"

    asyncio.run(asyncio.wait_for(main(), 180))


def interrupted_at(n: int, call: Callable[[], object]) -> bool:
    """Make a blocking call and press Ctrl-C there. Whether it came before the end."""
    instrument = GiveUpAt(n, lambda: os.kill(os.getpid(), signal.SIGINT))
    try:
        with armed(instrument):
            with suppress(RuntimedError):
                call()
            # The loop is held until here, if the interrupt is on its way.
            while instrument.fired:
                threading.Event().wait(0.001)
    except KeyboardInterrupt:
        pass
    return instrument.fired


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c_may_come_at_every_step(daemon: FakeDaemon, name: str) -> None:
    with Session("n") as session:
        session.start_kernel()
        cell_id = session.create_cell("say x")
        assert session.execute_cell(cell_id).stdout == "x\n"
        for n in range(100):
            fired = interrupted_at(n, lambda: CALLS[name](session, cell_id))
            wait_until(lambda: not session.get_queue_state().executing)
            session.set_cell_type(cell_id, "code")
            session.set_source(cell_id, f"say {n}")
            assert session.execute_cell(cell_id).stdout == f"{n}\n"
            assert session._session._link is not None
            assert session._session._link._pending == {}
            if not fired:
                return
        raise AssertionError("the call never gets through")


def test_an_event_that_ctrl_c_has_kept_from_a_loop_comes_again(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()
        cell_id = session.create_cell("\n".join(f"show {n}" for n in range(12)))
        events = session.stream_execute(cell_id)
        session.execute_cell(cell_id)
        heard: list[ExecutionEvent] = []
        for n in range(3):
            interrupted_at(n, lambda: heard.append(next(events)))
        heard += events
        assert [event.event_type for event in heard] == [
            "execution_started",
            *["output"] * 12,
            "done",
        ]
