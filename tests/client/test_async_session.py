"""Asynchronous sessions on Trio and on asyncio, against the fake daemon."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trio
from fake_daemon import FakeDaemon

from runtimed import AsyncSession, ExecutionResult, RuntimedError
from runtimed.protocol import requests

pytest_plugins = ["fake_daemon_fixture"]
pytestmark = pytest.mark.real

Program = Callable[[], Coroutine[Any, Any, None]]


def on_trio(program: Program) -> None:
    async def bounded() -> None:
        with trio.fail_after(30):
            await program()

    trio.run(bounded)


def on_asyncio(program: Program) -> None:
    asyncio.run(asyncio.wait_for(program(), 30))


both = pytest.mark.parametrize("run", [on_trio, on_asyncio])
Run = Callable[[Program], None]


async def pause() -> None:
    try:
        await trio.sleep(0.005)
    except RuntimeError:
        await asyncio.sleep(0.005)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await pause()


@both
def test_the_quick_start_works(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        async with AsyncSession("n") as session:
            assert repr(session) == "AsyncSession(id=n)"
            await session.start_kernel()
            cell_id = await session.create_cell("say hello async")
            result = await session.execute_cell(cell_id)
            assert result.stdout == "hello async\n"
            assert await session.is_connected()
            assert await session.kernel_started()
            assert await session.kernel_type() == "python"
            assert await session.env_source() == "uv:prewarmed"
            assert (await session.connection_info()) is not None
            assert (await session.get_cell(cell_id)).source == "say hello async"
        assert not await session.is_connected()
        assert daemon.room("n").kernel is None

    run(main)


@both
def test_only_creating_a_cell_does_not_connect(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        async with AsyncSession() as session:
            with pytest.raises(RuntimedError, match=r"^Not connected$"):
                await session.create_cell("x")
            assert (await session.run("say a")).stdout == "a\n"

    run(main)


@both
def test_a_bare_connect_is_enough(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        session = AsyncSession("n")
        await session.connect()
        await session.run("say a")
        await session.close()
        await session.close()
        assert daemon.room("n").kernel is None

    run(main)


@both
def test_a_bare_connect_that_is_never_closed_holds_nothing_up(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        await AsyncSession("n").connect()

    run(main)


@both
def test_opening_and_creating_give_connected_sessions(
    daemon: FakeDaemon, run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        async with await AsyncSession.open_notebook(str(tmp_path / "a.ipynb")) as session:
            assert session.notebook_id == str(tmp_path / "a.ipynb")
            assert len(await session.get_cells()) == 1
        session = await AsyncSession.create_notebook(peer_label="x")
        await session.close()
        with pytest.raises(RuntimedError, match="Cannot access"):
            await AsyncSession.open_notebook("unreadable")

    run(main)


def test_the_working_dir_is_checked_in_the_call_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _ = AsyncSession.create_notebook(working_dir=str(tmp_path / "no"))


@both
def test_several_calls_are_under_way_at_once(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        async with AsyncSession("n") as session:
            await session.start_kernel()
            results: list[ExecutionResult] = []

            async def wait() -> None:
                results.append(await session.run("wait"))

            async def others() -> None:
                await until(lambda: daemon.room("n").running is not None)
                assert len(await session.get_cells()) == 1
                await session.interrupt()

            await side_by_side(wait, others)
            assert results[0].error is not None

    run(main)


async def side_by_side(*functions: Callable[[], Awaitable[None]]) -> None:
    if trio.lowlevel.in_trio_task():
        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)
    else:
        await asyncio.gather(*(function() for function in functions))


async def test_cancelling_a_wait_on_trio_leaves_the_session_in_order(daemon: FakeDaemon) -> None:
    with trio.fail_after(30):
        async with AsyncSession("n") as session:
            await session.start_kernel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.run, "wait")
                await until(lambda: daemon.room("n").running is not None)
                nursery.cancel_scope.cancel()
            assert (await session.get_queue_state()).executing is not None
            await session.interrupt()
            assert (await session.run("say on")).stdout == "on\n"


def test_cancelling_a_wait_on_asyncio_leaves_the_session_in_order(daemon: FakeDaemon) -> None:
    async def main() -> None:
        async with AsyncSession("n") as session:
            await session.start_kernel()
            task = asyncio.create_task(session.run("wait"))
            await until(lambda: daemon.room("n").running is not None)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await session.interrupt()
            assert (await session.run("say on")).stdout == "on\n"

    on_asyncio(main)


async def test_a_cancelled_block_still_leaves_properly(daemon: FakeDaemon) -> None:
    with trio.fail_after(30):
        with trio.CancelScope() as scope:
            async with AsyncSession("n") as session:
                await session.start_kernel()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert daemon.room("n").kernel is None


@both
def test_the_exception_of_the_body_gets_out_as_it_is(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        session = AsyncSession("n")

        async def block() -> None:
            async with session:
                await session.start_kernel()
                _ = 1 / 0

        with pytest.raises(ZeroDivisionError):
            await block()
        assert daemon.room("n").kernel is None

    run(main)


@both
def test_a_daemon_that_dies_ends_the_block_without_harm(daemon: FakeDaemon, run: Run) -> None:
    async def main() -> None:
        async with AsyncSession("n") as session:
            await session.start_kernel()
            daemon.cut()
            with pytest.raises(RuntimedError, match=r"^Connection to daemon lost$"):
                await session.get_history()
            assert not await session.is_connected()
            await session.connect()
            assert await session.is_connected()

    run(main)


async def test_a_request_that_is_not_answered_times_out(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimed.client.kernel_control.REQUEST_TIMEOUT", 0.05)
    daemon.hold_answers.add(requests.GetQueueState)
    async with AsyncSession() as session:
        await session.connect()
        with pytest.raises(RuntimedError, match=r"^Connection timed out$"):
            await session.get_queue_state()


async def test_a_session_belongs_to_the_loop_that_connected_it(daemon: FakeDaemon) -> None:
    errors: list[str] = []

    async def elsewhere() -> None:
        try:
            await session.get_cells()
        except RuntimeError as error:
            errors.append(str(error))

    async with AsyncSession() as session:
        await session.connect()
        thread = threading.Thread(target=trio.run, args=(elsewhere,))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
    assert len(errors) == 1
    assert "another event loop" in errors[0]
