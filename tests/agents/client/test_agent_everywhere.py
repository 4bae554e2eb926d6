"""The client under asyncio and from plain threads, with runtimes on the portal's loop.

Source: agent runtime specification; the numbers are its sections.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading

import pytest
import trio
from agent_peers import (
    MemoryTransport,
    Peer,
    client_of,
    confirm,
    error,
    options,
    result,
    said,
    saying,
    until_cancelled,
    upload,
)
from reference_runtimes import Reference0151

from runtimed.agents import (
    AgentRuntimeError,
    ArtifactUploadResult,
    AssistantMessageInterface,
    CancelledException,
    CommandInterface,
    RuntimeUseClient,
    TextResult,
)
from runtimed.agents.messages import ArtifactUploadRequestMessageInterface
from waiting import LIMIT, wait_until

DONE = TextResult(text="done")


async def ask_for_upload(peer: Peer) -> None:
    await peer.receive()
    await peer.send(said("1"), upload("/out/a"))
    answer = await peer.expect("artifact_upload_response_message")
    await peer.send(result(answer["presigned_url"]))
    await peer.expect("end_session_message")
    await peer.send(confirm())
    await peer.until_gone()


# ---------------------------------------------------------------------- asyncio


def test_callbacks_run_in_the_asyncio_loop_of_their_caller() -> None:
    """Section 9.2: async and plain ones, in the caller's context."""
    name = contextvars.ContextVar("name", default="nobody")
    loops: list[object] = []

    async def on_assistant(message: AssistantMessageInterface) -> None:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())

    def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        loops.append(asyncio.get_running_loop())
        return ArtifactUploadResult(presigned_url=name.get(), content_type="x")

    async def main() -> None:
        name.set("the caller")
        told = options(
            on_assistant_message=on_assistant,
            artifacts_dir="/out",
            on_artifact_upload_request=on_artifact,
        )
        answer = await client_of(ask_for_upload).query("hi", told)
        assert answer.data == TextResult(text="the caller")
        assert loops == [asyncio.get_running_loop()] * 2

    asyncio.run(main())


def test_exceptions_are_the_same_under_asyncio() -> None:
    """Section 9.2"""
    mistake = LookupError("mine")

    async def on_assistant(message: AssistantMessageInterface) -> None:
        raise mistake

    async def main() -> None:
        told = options(on_assistant_message=on_assistant)
        with pytest.raises(LookupError) as caught:
            await client_of(saying(said("1"))).query("hi", told)
        assert caught.value is mistake
        with pytest.raises(AgentRuntimeError, match=r"^no$"):
            await client_of(saying(error("no"))).query("hi", options())
        with pytest.raises(TimeoutError):
            await client_of(lambda peer: peer.until_gone()).query("hi", options(timeout=0.01))

    asyncio.run(main())


def test_a_cancelled_asyncio_task_hangs_up() -> None:
    """Section 9.2"""
    transport = MemoryTransport(lambda peer: peer.until_gone())

    async def main() -> None:
        call = RuntimeUseClient(transport=transport).query("hi", options())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(call, 0.05)

    asyncio.run(main())
    wait_until(lambda: not transport.peers or transport.peers[0].gone.is_set())


def test_an_abort_reaches_a_call_from_other_tasks_and_threads() -> None:
    """Section 9.2"""

    async def main() -> None:
        for where in ("before it has begun", "a task", "a thread"):
            transport = MemoryTransport(until_cancelled)
            client = RuntimeUseClient(transport=transport)
            call = asyncio.create_task(client.query("hi", options()))
            await asyncio.sleep(0)
            if where != "before it has begun":
                await asyncio.to_thread(wait_until, transport.has_heard)
            if where == "a thread":
                await asyncio.to_thread(client.abort)
            else:
                client.abort()
            with pytest.raises(CancelledException):
                await asyncio.wait_for(call, LIMIT)

    asyncio.run(main())


def test_a_callback_that_takes_too_long_is_cancelled_in_its_loop() -> None:
    """Section 9.3"""
    cancelled = asyncio.Event()

    async def on_assistant(message: AssistantMessageInterface) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def main() -> None:
        told = options(on_assistant_message=on_assistant, assistant_callback_timeout=0.01)
        with pytest.raises(AgentRuntimeError, match="callback timed out"):
            await client_of(saying(said("1"))).query("hi", told)
        await asyncio.wait_for(cancelled.wait(), LIMIT)

    asyncio.run(main())


def test_a_session_works_under_asyncio() -> None:
    """Section 9.2"""
    transport = MemoryTransport(Reference0151())

    async def main() -> None:
        async with RuntimeUseClient(transport=transport).session() as session:
            answers = await asyncio.gather(
                *(session.query(prompt, options()) for prompt in ("a", "b"))
            )
            done = await session.execute_commands([CommandInterface(command="ls")])
        assert [answer.data for answer in answers] == [
            TextResult(text="answer to a"),
            TextResult(text="answer to b"),
        ]
        assert [item.command for item in done.results] == ["ls"]

    asyncio.run(main())
    (peer,) = transport.peers
    assert peer.kinds[-1] == "end_session_message"
    assert peer.gone.is_set()


def test_a_session_is_used_in_the_loop_that_opened_it() -> None:
    session = RuntimeUseClient(transport=MemoryTransport(Reference0151())).session()

    async def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await session.query("hi", options())

    async def main() -> None:
        async with session:
            await asyncio.to_thread(trio.run, elsewhere)

    asyncio.run(main())


def test_a_session_ends_in_order_when_its_block_raises_and_at_once_when_cancelled() -> None:
    """Section 9.2"""
    transport = MemoryTransport(Reference0151())
    deaf = MemoryTransport(lambda peer: peer.until_gone())

    async def stay() -> None:
        async with RuntimeUseClient(transport=deaf).session():
            await asyncio.sleep(1000)

    async def main() -> None:
        with pytest.raises(LookupError):
            async with RuntimeUseClient(transport=transport).session():
                raise LookupError
        task = asyncio.create_task(stay())
        await asyncio.to_thread(wait_until, lambda: deaf.peers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, LIMIT)

    asyncio.run(main())
    assert transport.peers[0].kinds == ["end_session_message"]
    assert deaf.peers[0].gone.is_set()
    assert deaf.peers[0].heard == []


@pytest.mark.real
def test_a_session_without_a_connection_raises_when_it_is_entered() -> None:
    """Section 9.2"""

    async def main(port: int) -> None:
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            async with RuntimeUseClient(ws_url=f"ws://127.0.0.1:{port}").session():
                raise AssertionError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        asyncio.run(main(taken.getsockname()[1]))


# ---------------------------------------------------------------------- without an event loop


def test_a_blocking_call_runs_plain_callbacks_in_its_thread_and_async_ones_on_trio() -> None:
    """Section 9.2"""
    places: list[object] = []

    def on_assistant(message: AssistantMessageInterface) -> None:
        places.append(threading.current_thread())

    async def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        await trio.lowlevel.checkpoint()
        places.append("trio")
        return ArtifactUploadResult(presigned_url="u", content_type="x")

    told = options(
        on_assistant_message=on_assistant,
        artifacts_dir="/out",
        on_artifact_upload_request=on_artifact,
    )
    answer = client_of(ask_for_upload).query_sync("hi", told)
    assert answer.data == TextResult(text="u")
    assert places == [threading.current_thread(), "trio"]


def test_blocking_calls_raise_as_the_others_do() -> None:
    """Section 9.2"""
    for mistake in (LookupError("mine"), KeyboardInterrupt("mine")):
        transport = MemoryTransport(saying(said("1")))

        def on_assistant(message: object, mistake: BaseException = mistake) -> None:
            raise mistake

        client = RuntimeUseClient(transport=transport)
        with pytest.raises(type(mistake)) as caught:
            client.query_sync("hi", options(on_assistant_message=on_assistant))
        assert caught.value is mistake
        wait_until(transport.peers[0].gone.is_set)
    with pytest.raises(TimeoutError):
        client_of(lambda peer: peer.until_gone()).query_sync("hi", options(timeout=0.01))


def test_a_blocking_call_can_be_aborted_from_another_thread() -> None:
    """Section 9.2"""
    transport = MemoryTransport(until_cancelled)
    client = RuntimeUseClient(transport=transport)

    def abort() -> None:
        wait_until(transport.has_heard)
        client.abort()

    thread = threading.Thread(target=abort)
    thread.start()
    with pytest.raises(CancelledException, match="Command execution was cancelled"):
        client.execute_commands_sync([CommandInterface(command="sleep 9")])
    thread.join()


def test_blocking_calls_work_from_several_threads_and_inside_of_event_loops() -> None:
    client = client_of(Reference0151())
    answers: list[object] = []

    def ask() -> None:
        answers.append(client.query_sync("hi", options()).data)

    async def inside() -> None:
        ask()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(inside())
    trio.run(inside)
    assert answers == [TextResult(text="answer to hi")] * 6
