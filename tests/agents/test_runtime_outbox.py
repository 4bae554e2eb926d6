"""What waits for a slow client, and what the log's two streams get."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from runtimed.agents.runtime.logs import LOGGER, log_to_streams
from runtimed.agents.runtime.outbox import ClientTooSlow, Outbox


async def test_messages_are_taken_in_order_until_it_is_closed() -> None:
    outbox = Outbox(100)
    outbox.put_nowait("a")
    await outbox.put("b")
    outbox.put_always("c")
    outbox.close()
    outbox.put_always("too late")
    assert [await outbox.take() for _ in range(4)] == ["a", "b", "c", None]


async def test_a_plain_put_refuses_when_too_much_waits_and_what_must_arrive_does() -> None:
    """Section 10.2 of the agent protocol."""
    outbox = Outbox(10)
    outbox.put_nowait("x" * 11)
    with pytest.raises(ClientTooSlow, match="11 characters wait"):
        outbox.put_nowait("y")
    outbox.put_always("terminal")
    assert [await outbox.take() for _ in range(2)] == ["x" * 11, "terminal"]
    outbox.put_nowait("z")


async def test_whoever_can_wait_waits_for_room(autojump_clock: trio.testing.MockClock) -> None:
    outbox = Outbox(1 << 30)
    outbox.put_nowait("x" * (2 << 20))
    order: list[str] = []

    async def wait() -> None:
        await outbox.put("y")
        order.append("put")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        order.append("took")
        assert len(await outbox.take() or "") == 2 << 20
        assert await outbox.take() == "y"
    assert order == ["took", "put"]


async def test_whoever_waits_is_let_go_when_it_is_closed() -> None:
    outbox = Outbox(1 << 30)
    outbox.put_nowait("x" * (2 << 20))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.put, "y")
        await wait_all_tasks_blocked()
        outbox.close()
    assert outbox.waiting == 2 << 20


@pytest.fixture
def log_as_it_was() -> Iterator[None]:
    before = (LOGGER.handlers, LOGGER.propagate, LOGGER.level)
    yield
    LOGGER.handlers, LOGGER.propagate, level = before
    LOGGER.setLevel(level)


def test_information_goes_to_one_stream_and_warnings_to_the_other(log_as_it_was: None) -> None:
    """Section 10.5."""
    out, err = io.StringIO(), io.StringIO()
    log_to_streams(out, err)
    LOGGER.debug("hidden")
    LOGGER.info("told")
    LOGGER.warning("warned")
    LOGGER.error("failed")
    assert (out.getvalue(), err.getvalue()) == ("told\n", "warned\nfailed\n")
    log_to_streams(out, err, debug=True)
    assert LOGGER.level == logging.DEBUG
