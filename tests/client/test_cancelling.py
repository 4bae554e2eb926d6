"""Each kind of call cancelled at each of its awaits, on Trio: the session is as good as before.

The same call is made again and again and cancelled one step later each time, until it gets through:
before a step begins, so that its next await raises at once, or after it, so that a wait under way
is broken off.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from cancelling_calls import CALLS, COMPOSED, STATES, When, each_step
from loopback_sessions import open_daemon

from loopback import Loopback
from runtimed import AsyncSession, EventSubscription, ExecutionEventStream, RuntimedError

both_sides = pytest.mark.parametrize("when", ["before", "after"])

ALL_CALLS = {**CALLS, **STATES, **COMPOSED}
ELSEWHERE = {"close", "open_notebook", "create_notebook"}
NOT_AWAITED = {"notebook_id", "get_settings", "set_progress_handler"}


@attrs.define
class Watched:
    """A session, and what it and the program hold while nothing is under way."""

    daemon: Loopback
    session: AsyncSession
    cell_id: str
    _runs: int = 0
    _listeners: int = 0
    _tasks: int = 0

    async def begin(self) -> None:
        await self._use()
        await trio.testing.wait_all_tasks_blocked()
        assert self.session._link is not None
        self._listeners = len(self.session._link._listeners)
        self._tasks = trio.lowlevel.current_statistics().tasks_living

    async def check(self) -> None:
        """The session works, and nothing is left of the call that was cancelled."""
        await self._use()
        link = self.session._link
        assert link is not None
        assert link._pending == {}
        assert len(link._listeners) == self._listeners
        assert link._synced.statistics().tasks_waiting == 0
        assert not self.session._connecting.locked()
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= self._tasks)

    async def _use(self) -> None:
        """Edit, run, read."""
        self._runs += 1
        while (await self.session.get_queue_state()).executing:  # noqa: ASYNC110 - not begun anew
            await trio.sleep(0.001)
        await self.session.set_cell_type(self.cell_id, "code")
        await self.session.set_source(self.cell_id, f"print {self._runs}")
        result = await self.session.execute_cell(self.cell_id)
        assert result.stdout == str(self._runs), result.outputs
        cell = await self.session.get_cell(self.cell_id)
        assert [output.text for output in cell.outputs] == [str(self._runs)]


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    with trio.fail_after(180):
        async with open_daemon(folder) as daemon, AsyncSession("n") as session:
            await session.start_kernel()
            watched = Watched(daemon, session, await session.create_cell())
            await watched.begin()
            yield watched
            await session.close()
            assert not await session.is_connected()
            assert not any(kernel.running for kernel in daemon.kernels.launched)


def test_every_method_that_waits_is_among_the_calls() -> None:
    """A method that is missing here belongs into `cancelling_calls`."""
    methods = {name for name in dir(AsyncSession) if not name.startswith("_")}
    assert methods - NOT_AWAITED - ELSEWHERE <= ALL_CALLS.keys()


@both_sides
@pytest.mark.parametrize("name", ALL_CALLS)
async def test_a_call_may_be_cancelled_at_every_await(
    tmp_path: Path, name: str, when: When
) -> None:
    async with watched(tmp_path) as w:
        async for cancel in each_step(when):
            with suppress(RuntimedError):  # some ask for what is not to be had here
                await cancel.run(partial(ALL_CALLS[name], w.session, w.cell_id))
            await w.check()


@both_sides
async def test_a_cell_that_is_waited_for_goes_on_when_the_wait_is_cancelled(
    tmp_path: Path, when: When
) -> None:
    async with watched(tmp_path) as w:
        await w.session.set_source(w.cell_id, "wait")
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                while True:
                    await trio.sleep(0.02)
                    if (await w.session.get_queue_state()).executing:
                        w.daemon.kernels.launched[-1].finish()

            nursery.start_soon(finish)
            cut = 0
            async for cancel in each_step(when):
                await cancel.run(partial(w.session.execute_cell, w.cell_id))
                cut += cancel.cut
            assert cut
            nursery.cancel_scope.cancel()
        kernel = w.daemon.kernels.launched[-1]
        if kernel._busy is not None:
            kernel.finish()
        await w.check()


@both_sides
@pytest.mark.parametrize("how", ["stream", "subscription"])
async def test_a_cancelled_wait_for_an_event_loses_none(
    tmp_path: Path, how: str, when: When
) -> None:
    async with watched(tmp_path) as w:
        kernel = w.daemon.kernels.launched[-1]
        await w.session.set_source(w.cell_id, "wait")
        events: ExecutionEventStream | EventSubscription
        if how == "stream":
            events = await w.session.stream_execute(w.cell_id)
        else:
            events = w.session.subscribe([w.cell_id], ["execution_started", "output", "done"])
            await w.session.queue_cell(w.cell_id)
        await until(lambda: kernel._busy is not None)
        heard = [await anext(events)]  # that it has started

        async def hear() -> None:
            heard.append(await anext(events))

        shown = 0
        async for cancel in each_step(when):
            for _ in range(2):
                data = {"text/plain": str(shown)}
                kernel.say(kernel._busy or "", "display_data", {"data": data, "metadata": {}})
                shown += 1
            await cancel.run(hear)
            while len(heard) <= shown:
                await hear()
        kernel.finish()
        assert (await anext(events)).event_type == "done"
        outputs = [event.output for event in heard if event.output is not None]
        assert [(output.data or {})["text/plain"] for output in outputs] == [
            str(n) for n in range(shown)
        ]
        if isinstance(events, EventSubscription):
            await events.close()
        await w.check()


@pytest.fixture
def little_garbage() -> Iterator[None]:
    """Collecting looks at what the test itself has made alone, and not at all of a whole run."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@both_sides
@pytest.mark.usefixtures("little_garbage")
@pytest.mark.parametrize("how", ["connect", "open_notebook", "create_notebook", "block"])
async def test_joining_may_be_cancelled_at_every_await(
    tmp_path: Path, how: str, when: When
) -> None:
    path = str(tmp_path / "a.ipynb")
    joined: list[AsyncSession] = []

    async def join(again: AsyncSession) -> None:
        if how == "connect":
            await again.connect()
        elif how == "open_notebook":
            again = await AsyncSession.open_notebook(path)
        elif how == "create_notebook":
            again = await AsyncSession.create_notebook()
        else:
            async with again:
                await again.run("print x")
        joined.append(again)

    async with open_daemon(tmp_path) as daemon:
        cut = 0
        async for cancel in each_step(when):
            session = AsyncSession("n")
            await cancel.run(partial(join, session))
            cut += cancel.cut
            assert not session._connecting.locked()
            await join(session)
            await joined.pop().close()
            while joined:
                await joined.pop().close()
            del session
            gc.collect()
            await until(lambda: not any(room.active_peers for room in daemon.listed().values()))
        assert cut
        assert not any(kernel.running for kernel in daemon.kernels.launched if how == "block")


@both_sides
async def test_leaving_may_be_cancelled_at_every_await_and_is_done_nonetheless(
    tmp_path: Path, when: When
) -> None:
    async with open_daemon(tmp_path) as daemon:
        session = AsyncSession("n")
        async for cancel in each_step(when):
            await session.start_kernel()
            cell_id = await session.create_cell("x")
            await cancel.run(session.close)
            if cancel.cut and await session.is_connected():
                await session.close()
            assert not await session.is_connected()
            await until(lambda: daemon.listed()["n"].active_peers == 0)
            assert not any(kernel.running for kernel in daemon.kernels.launched)
            await session.connect()
            assert (await session.get_cell(cell_id)).source == "x"
        await session.close()
