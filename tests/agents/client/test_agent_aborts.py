"""Aborting and cancelling, on a runtime in memory, where the clock may jump.

Source: agent runtime specification; the numbers are its sections.
"""

from __future__ import annotations

import threading

import pytest
import trio
import trio.lowlevel
import trio.testing
from agent_peers import (
    MemoryTransport,
    Peer,
    client_of,
    error,
    options,
    result,
    said,
    saying,
    until_cancelled,
    upload,
)

from runtimed.agents import (
    CancelledException,
    CommandInterface,
    RuntimeUseClient,
    TextResult,
)
from runtimed.agents.messages import (
    AssistantMessageInterface,
)


async def test_an_abort_cancels_the_request_and_raises_after_its_end() -> None:
    """Section 9.2"""
    transport = MemoryTransport(until_cancelled)
    client = RuntimeUseClient(transport=transport)
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.testing.wait_all_tasks_blocked()
            client.abort()
            client.abort()  # once more changes nothing

        nursery.start_soon(abort)
        with pytest.raises(CancelledException, match=r"^Query was cancelled$"):
            await client.query("hi", options())
    assert transport.peers[0].kinds == ["invocation_message", "cancel_message"]


async def test_aborted_commands_have_a_text_of_their_own() -> None:
    """Section 9.1"""
    client = client_of(until_cancelled)
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.testing.wait_all_tasks_blocked()
            client.abort()

        nursery.start_soon(abort)
        with pytest.raises(CancelledException, match=r"^Command execution was cancelled$"):
            await client.execute_commands([CommandInterface(command="sleep 9")])


async def test_an_abort_without_a_call_is_not_remembered() -> None:
    """Section 9.2"""
    client = client_of(saying(result()))
    client.abort()
    assert (await client.query("hi", options())).data == TextResult(text="done")


async def test_an_abort_comes_before_whatever_the_end_is() -> None:
    """Section 9.2: even before a result that was on its way."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.expect("cancel_message")
        await peer.send(result("too late"))
        await peer.until_gone()

    client = client_of(script)
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.testing.wait_all_tasks_blocked()
            client.abort()

        nursery.start_soon(abort)
        with pytest.raises(CancelledException):
            await client.query("hi", options())


async def test_an_abort_interrupts_a_callback_and_calls_no_other() -> None:
    """Section 3.4: meanwhile no callbacks are called and no upload requests are answered."""
    seen: list[str] = []

    async def on_assistant(message: AssistantMessageInterface) -> None:
        seen.append(message.text_blocks[0])
        client.abort()
        await trio.sleep_forever()

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(said("1"))
        await peer.expect("cancel_message")
        await peer.send(said("2"), upload("/out/a"), error("Request cancelled"))
        await peer.until_gone()

    transport = MemoryTransport(script)
    client = RuntimeUseClient(transport=transport)
    told = options(
        on_assistant_message=on_assistant,
        artifacts_dir="/out",
        on_artifact_upload_request=lambda request: seen.append(request.filename),
    )
    with pytest.raises(CancelledException):
        await client.query("hi", told)
    assert seen == ["1"]
    assert transport.peers[0].kinds == ["invocation_message", "cancel_message"]


async def test_a_deaf_runtime_is_left_after_the_grace(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Section 9.4, weakness 31"""
    transport = MemoryTransport(lambda peer: peer.until_gone())
    client = RuntimeUseClient(transport=transport)
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.sleep(100)
            client.abort()

        nursery.start_soon(abort)
        with pytest.raises(CancelledException):
            await client.query("hi", options())
    assert trio.current_time() == pytest.approx(110)
    assert transport.peers[0].gone.is_set()


async def test_an_abort_from_another_thread_is_heard() -> None:
    """Section 9.2"""
    client = client_of(until_cancelled)
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.testing.wait_all_tasks_blocked()
            thread = threading.Thread(target=client.abort)
            thread.start()
            await trio.to_thread.run_sync(thread.join)

        nursery.start_soon(abort)
        with trio.fail_after(30), pytest.raises(CancelledException):
            await client.query("hi", options())


async def test_an_abort_cancels_every_call_of_the_client() -> None:
    """Section 9.2, weakness 33"""
    client = client_of(until_cancelled)
    cancelled = 0

    async def ask() -> None:
        nonlocal cancelled
        with pytest.raises(CancelledException):
            await client.query("hi", options())
        cancelled += 1

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        client.abort()
    assert cancelled == 3
    # And a later one is none of its business.
    with trio.move_on_after(0) as scope:
        await client.query("hi", options())
    assert scope.cancelled_caught


async def test_a_cancelled_scope_hangs_up_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Section 9.2"""
    transport = MemoryTransport(lambda peer: peer.until_gone())
    with trio.move_on_after(5) as scope:
        await RuntimeUseClient(transport=transport).query("hi", options())
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(5)
    assert transport.peers[0].gone.is_set()
