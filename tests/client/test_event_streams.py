"""Streams of events, blocking and asynchronous, against the fake daemon."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
import trio
from fake_daemon import FakeDaemon

from runtimed import AsyncSession, ExecutionEvent, RuntimedError, Session
from waiting import wait_until

pytest_plugins = ["fake_daemon_fixture"]
pytestmark = pytest.mark.real


def kinds(events: list[ExecutionEvent]) -> list[str]:
    return [event.event_type for event in events]


def test_an_execution_is_followed_to_its_end(daemon: FakeDaemon) -> None:
    with Session() as session:
        cell_id = session.create_cell("say a\nsay b\nshow 2")
        stream = session.stream_execute(cell_id)
        assert repr(stream) == "ExecutionEventIterator(...)"
        events = list(stream)
        assert kinds(events) == ["execution_started", "output", "output", "output", "done"]
        assert events[0].execution_count == 1
        assert [event.output_index for event in events[1:4]] == [0, 0, 1]
        texts = [event.output.text for event in events[1:3] if event.output]
        assert texts == ["a\n", "a\nb\n"]
        assert all(event.cell_id == cell_id for event in events)
        assert list(stream) == []


def test_signals_tell_where_to_read(daemon: FakeDaemon) -> None:
    with Session() as session:
        cell_id = session.create_cell("say a\nsay b\nwarn c")
        seen = []
        for event in session.stream_execute(cell_id, signal_only=True):
            if event.event_type == "output":
                assert event.output is None
                assert event.output_index is not None
                seen.append(session.get_cell(cell_id).outputs[event.output_index].name)
        assert seen == ["stdout", "stdout", "stderr"]


def test_silence_ends_a_stream_for_good(daemon: FakeDaemon) -> None:
    with Session() as session:
        stream = session.stream_execute(session.create_cell("wait"), timeout_secs=1.0)
        assert next(stream).event_type == "execution_started"
        with pytest.raises(RuntimedError, match=r"^Execution timed out after 1 seconds$"):
            next(stream)
        with pytest.raises(StopIteration):
            next(stream)
        session.interrupt()


def test_a_dead_kernel_is_an_error_event(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        stream = session.stream_execute(session.create_cell("wait"))
        assert next(stream).event_type == "execution_started"
        daemon.do(lambda: daemon.room("n").kernel_ends("boom", asked=False))
        (event,) = stream
        assert (event.event_type, event.error_message) == ("error", "boom")


def test_a_dropped_cell_says_so_before_its_done(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()
        session.queue_cell(session.create_cell("wait"))
        stream = session.stream_execute(session.create_cell("say a"))
        session.interrupt()
        output, done = stream
        assert output.output is not None
        assert output.output.ename == "ExecutionCancelled"
        assert done.event_type == "done"


def test_a_subscription_hears_what_others_cause(daemon: FakeDaemon) -> None:
    with Session("n") as first, Session("n") as second:
        first.connect()
        everything = first.subscribe()
        assert repr(everything) == "EventIteratorSubscription(...)"
        result = second.run("say a\nsay b")
        of_the_cell = []
        for event in everything:
            of_the_cell.append(event)
            if event.event_type == "done":
                break
        assert kinds(of_the_cell) == [
            "kernel_status",
            "execution_started",
            "output",
            "output",
            "done",
        ]
        assert of_the_cell[0].status == of_the_cell[0].error_message == "idle"
        assert of_the_cell[-1].cell_id == result.cell_id
        everything.close()
        assert list(everything) == []


def test_a_subscription_may_be_limited(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()
        wanted = session.create_cell("say a")
        outputs = session.subscribe([wanted], ["output"])
        errors = session.subscribe(cell_ids=["other"], event_types=["error"])
        session.run("say b")
        session.execute_cell(wanted)
        event = next(outputs)
        assert (event.event_type, event.cell_id) == ("output", wanted)
        daemon.do(lambda: daemon.room("n").kernel_ends("boom", asked=False))
        event = next(errors)
        assert (event.event_type, event.cell_id, event.error_message) == ("error", "", "boom")


def test_a_subscription_can_be_closed_while_somebody_waits(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.connect()
        subscription = session.subscribe()
        seen: list[list[ExecutionEvent]] = []
        thread = threading.Thread(target=lambda: seen.append(list(subscription)))
        thread.start()
        time.sleep(0.05)
        subscription.close()
        thread.join(30)
        assert seen == [[]]


def test_a_subscription_ends_with_the_connection_after_what_was_heard(daemon: FakeDaemon) -> None:
    session = Session("n")
    session.connect()
    subscription = session.subscribe(event_types=["output"])
    session.run("say a")
    daemon.cut()
    assert kinds(list(subscription)) == ["output"]


def test_many_events_wait_for_a_slow_reader(daemon: FakeDaemon) -> None:
    with Session("n") as session:
        session.start_kernel()
        subscription = session.subscribe(event_types=["output"])
        session.run("\n".join(f"say {i}" for i in range(300)))
        events = [next(subscription) for _ in range(300)]
        last = events[-1].output
        assert last is not None
        assert last.text == "".join(f"{i}\n" for i in range(300))


async def test_an_asynchronous_stream_on_trio(daemon: FakeDaemon) -> None:
    with trio.fail_after(30):
        async with AsyncSession() as session:
            await session.start_kernel()
            cell_id = await session.create_cell("say a")
            stream = await session.stream_execute(cell_id)
            assert repr(stream) == "ExecutionEventStream(...)"
            with pytest.raises(TypeError, match="async for"):
                iter(stream)  # type: ignore[call-overload]
            assert kinds([event async for event in stream]) == [
                "execution_started",
                "output",
                "done",
            ]


def test_an_asynchronous_stream_on_asyncio(daemon: FakeDaemon) -> None:
    async def main() -> None:
        async with AsyncSession() as session:
            await session.connect()
            subscription = session.subscribe(event_types=["done"])
            assert repr(subscription) == "EventSubscription(...)"
            cell_id = await session.create_cell("say a")
            events = [event async for event in await session.stream_execute(cell_id)]
            assert kinds(events) == ["execution_started", "output", "done"]
            async for event in subscription:
                assert event.cell_id == cell_id
                break
            waiting = asyncio.create_task(subscription.__anext__())
            await asyncio.sleep(0.02)
            await subscription.close()
            with pytest.raises(StopAsyncIteration):
                await waiting

    asyncio.run(main())


async def test_a_wait_that_is_cancelled_loses_no_event(daemon: FakeDaemon) -> None:
    with trio.fail_after(30):
        async with AsyncSession("n") as session:
            await session.start_kernel()
            subscription = session.subscribe(event_types=["done"])
            with trio.move_on_after(0.02):
                await subscription.__anext__()
            result = await session.run("say a")
            assert (await subscription.__anext__()).cell_id == result.cell_id


def test_abandoned_streams_leave_nothing_behind(daemon: FakeDaemon) -> None:
    with Session() as session:
        session.connect()
        link = session._session._link
        assert link is not None
        before = len(link._listeners)
        stream = session.stream_execute(session.create_cell("say a"))
        subscription = session.subscribe()
        assert len(link._listeners) == before + 2
        del stream, subscription
        wait_until(lambda: len(link._listeners) == before)
