"""Sessions on runtimes in memory, the reference's 0.15.1 among them, where the clock may jump.

Source: agent runtime specification; the numbers are its sections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from agent_peers import (
    REQUESTS,
    MemoryTransport,
    Message,
    Peer,
    Script,
    confirm,
    error,
    options,
    result,
    results,
    said,
    upload,
)
from reference_runtimes import Reference0151, answer_at_once

from runtimed.agents import (
    AgentCallTimedOut,
    AgentRuntimeError,
    ArtifactUploadResult,
    CancelledException,
    CommandInterface,
    RuntimeUseClient,
    RuntimeUseSession,
    TextResult,
)
from runtimed.agents.messages import ArtifactUploadRequestMessageInterface

Clock = trio.testing.MockClock


async def ask(session: RuntimeUseSession, prompt: str, **more: Any) -> str:
    answer = await session.query(prompt, options(**more))
    assert isinstance(answer.data, TextResult)
    return answer.data.text


def session_of(script: Script) -> tuple[RuntimeUseSession, MemoryTransport]:
    transport = MemoryTransport(script)
    return RuntimeUseClient(transport=transport).session(), transport


async def test_calls_go_over_one_connection_which_ends_in_order() -> None:
    """Section 9.2, 3.5"""
    session, transport = session_of(Reference0151())
    async with session:
        assert await ask(session, "a") == "answer to a"
        done = await session.execute_commands([CommandInterface(command="ls")])
        assert [item.command for item in done.results] == ["ls"]
        assert await ask(session, "b") == "answer to b"
    (peer,) = transport.peers
    assert peer.kinds == [
        "invocation_message",
        "command_execution_message",
        "invocation_message",
        "end_session_message",
    ]


async def test_calls_of_several_tasks_wait_for_each_other_in_order() -> None:
    """Section 9.2"""
    session, transport = session_of(Reference0151())
    answers: list[str] = []

    async def one(prompt: str) -> None:
        answers.append(await ask(session, prompt))

    async with session, trio.open_nursery() as nursery:
        for prompt in ("1", "2", "3"):
            nursery.start_soon(one, prompt)
            await trio.testing.wait_all_tasks_blocked()
    assert answers == ["answer to 1", "answer to 2", "answer to 3"]
    assert transport.peers[0].kinds.count("invocation_message") == 3


async def test_what_the_block_raises_comes_out_bare_behind_the_end_of_the_session() -> None:
    """Section 9.2: leaving runs also when the block raised."""
    session, transport = session_of(Reference0151())
    mistake = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        async with session:
            raise mistake
    assert caught.value is mistake
    assert transport.peers[0].kinds == ["end_session_message"]


async def test_a_session_is_left_without_a_confirmation_after_a_minute(
    autojump_clock: Clock,
) -> None:
    """Section 3.5, 9.2"""
    session, transport = session_of(lambda peer: peer.until_gone())
    async with session:
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(60)
    assert transport.peers[0].gone.is_set()


async def test_a_cancelled_scope_leaves_a_session_at_once(autojump_clock: Clock) -> None:
    """Section 9.2"""
    session, transport = session_of(lambda peer: peer.until_gone())
    with trio.move_on_after(5) as scope:
        async with session:
            await ask(session, "a")
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(5)
    assert transport.peers[0].gone.is_set()


async def test_a_session_can_be_used_in_its_block_only() -> None:
    session, _ = session_of(Reference0151())
    with pytest.raises(AgentRuntimeError, match="used in `async with`"):
        await ask(session, "a")
    async with session:
        pass
    with pytest.raises(AgentRuntimeError, match="The session has ended"):
        await ask(session, "a")
    with pytest.raises(RuntimeError, match="only once"):
        async with session:
            pass


async def test_a_call_that_is_under_way_when_its_session_ends_is_ended_with_it() -> None:
    async def forever(request: Message, peer: Peer) -> Message:
        await trio.sleep_forever()
        raise AssertionError

    session, transport = session_of(Reference0151(forever))
    ended: list[str] = []

    async def call(prompt: str) -> None:
        with pytest.raises(AgentRuntimeError) as caught:
            await ask(session, prompt)
        ended.append(caught.value.error)

    async with trio.open_nursery() as nursery, session:
        nursery.start_soon(call, "running")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(call, "waiting")
        await trio.testing.wait_all_tasks_blocked()
    assert ended == ["The session has ended"] * 2
    assert transport.peers[0].kinds == [
        "invocation_message",
        "cancel_message",
        "end_session_message",
    ]


async def test_an_aborted_call_leaves_the_session_usable() -> None:
    """Section 3.4, 9.2"""

    async def work(request: Message, peer: Peer) -> Message:
        if request.get("user_prompt") == "long":
            await trio.sleep_forever()
        return await answer_at_once(request, peer)

    session, _ = session_of(Reference0151(work))

    async def abort() -> None:
        await trio.testing.wait_all_tasks_blocked()
        session.abort()

    async with session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(abort)
            with pytest.raises(CancelledException):
                await ask(session, "long")
        assert await ask(session, "short") == "answer to short"


async def test_an_abort_that_is_not_heard_breaks_the_session(autojump_clock: Clock) -> None:
    """Section 9.4: the grace is ten seconds; then it is closed."""
    session, transport = session_of(lambda peer: peer.until_gone())

    async def abort() -> None:
        await trio.sleep(5)
        session.abort()

    async with session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(abort)
            with pytest.raises(CancelledException):
                await ask(session, "a")
        assert trio.current_time() == pytest.approx(15)
        with pytest.raises(AgentRuntimeError, match="The session is broken"):
            await ask(session, "b")
    assert transport.peers[0].kinds == ["invocation_message", "cancel_message"]


def slow_first(seconds: float) -> Callable[[Message, Peer], Any]:
    """Work that takes that long for the prompt `first`, and says something meanwhile."""

    async def work(request: Message, peer: Peer) -> Message:
        if request.get("user_prompt") == "first":
            await peer.send(said("of the first"))
            await trio.sleep(seconds)
        return await answer_at_once(request, peer)

    return work


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_call_that_timed_out_is_cancelled_and_the_next_gets_its_own_answer(
    deaf: bool, autojump_clock: Clock
) -> None:
    """Section 9.4, weakness 30; with a handler that hears the cancelling, and one that does not."""
    session, transport = session_of(Reference0151(slow_first(8), deaf=deaf))
    heard: list[str] = []
    async with session:
        with pytest.raises(AgentCallTimedOut):
            await ask(session, "first", timeout=2)
        hear = lambda message: heard.extend(message.text_blocks)  # noqa: E731
        assert await ask(session, "second", on_assistant_message=hear) == "answer to second"
        assert await ask(session, "third") == "answer to third"
    assert heard == []
    assert transport.peers[0].kinds[:2] == ["invocation_message", "cancel_message"]


async def test_a_call_whose_callback_raised_is_cancelled_too(autojump_clock: Clock) -> None:
    """Section 9.4, weakness 30"""
    session, _ = session_of(Reference0151(slow_first(8), deaf=True))

    def fail(message: object) -> None:
        raise LookupError

    async with session:
        with pytest.raises(LookupError):
            await ask(session, "first", on_assistant_message=fail)
        assert await ask(session, "second") == "answer to second"


async def test_a_cancelled_call_is_cancelled_in_the_runtime(autojump_clock: Clock) -> None:
    """Section 9.4, weakness 30: the message is sent although the call returns at once."""
    session, transport = session_of(Reference0151(slow_first(8)))
    async with session:
        with trio.move_on_after(1):
            await ask(session, "first")
        assert trio.current_time() == pytest.approx(1)
        await trio.testing.wait_all_tasks_blocked()
        assert transport.peers[0].kinds == ["invocation_message", "cancel_message"]
        assert await ask(session, "second") == "answer to second"


async def test_a_runtime_that_never_ends_a_call_breaks_the_session(autojump_clock: Clock) -> None:
    """Section 9.4: the next call waits ten seconds for the end of what was given up."""
    session, _ = session_of(Reference0151(slow_first(1000), deaf=True))
    async with session:
        with pytest.raises(AgentCallTimedOut):
            await ask(session, "first", timeout=2)
        for _ in range(2):
            with pytest.raises(AgentRuntimeError, match="The session is broken"):
                await ask(session, "second")
        assert trio.current_time() == pytest.approx(12)


async def test_heartbeats_do_not_prolong_that(autojump_clock: Clock) -> None:
    """Section 9.4"""

    async def script(peer: Peer) -> None:
        while True:
            await peer.send({"message_type": "heartbeat_message", "phase": "x", "elapsed_ms": 1})
            await trio.sleep(1)

    session, _ = session_of(script)
    with trio.move_on_after(100):
        async with session:
            with pytest.raises(AgentCallTimedOut):
                await ask(session, "first", timeout=2)
            with pytest.raises(AgentRuntimeError, match="The session is broken"):
                await ask(session, "second")
            assert trio.current_time() == pytest.approx(12)


async def test_a_second_end_behind_an_error_is_not_taken_for_an_answer(
    autojump_clock: Clock,
) -> None:
    """Section 9.4, 7: a handler that sends an error goes on, and so long its runtime is busy."""

    async def work(request: Message, peer: Peer) -> Message:
        if request.get("user_prompt") == "bad":
            await peer.send(error("no"))
            await trio.sleep(3)
        return await answer_at_once(request, peer)

    session, transport = session_of(Reference0151(work))
    async with session:
        with pytest.raises(AgentRuntimeError, match=r"^no$"):
            await ask(session, "bad", secrets_to_redact=["s"])
        assert await ask(session, "good") == "answer to good"
        assert await ask(session, "better") == "answer to better"
        assert trio.current_time() >= 3
    barriers = [each for each in transport.peers[0].heard if each.get("commands") == []]
    assert len(barriers) > 1  # it was refused at first
    assert all(each["secrets_to_redact"] == ["s"] for each in barriers)


async def test_a_call_that_gives_up_on_a_busy_runtime_leaves_no_barrier_behind(
    autojump_clock: Clock,
) -> None:
    """Section 9.4: the empty result of a barrier is not taken for that of another one."""

    async def script(peer: Peer) -> None:
        await peer.expect("invocation_message")
        await peer.send(error("no"))
        await peer.expect("command_execution_message")  # the barrier
        await trio.sleep(20)
        await peer.send(result("the second end"), results())
        while (message := await peer.receive()) is not None:
            if message["message_type"] in REQUESTS:
                await peer.send(results({"command": "ls", "exit_code": 0}))
            elif message["message_type"] == "end_session_message":
                await peer.send(confirm())

    session, _ = session_of(script)
    async with session:
        with pytest.raises(AgentRuntimeError, match=r"^no$"):
            await ask(session, "bad")
        with pytest.raises(AgentCallTimedOut):
            await ask(session, "hasty", timeout=1)
        done = await session.execute_commands([CommandInterface(command="ls")])
        assert [item.command for item in done.results] == ["ls"]


async def test_late_upload_requests_are_answered_with_the_most_recent_callback() -> None:
    """Section 9.4: within later calls, and while leaving the session."""
    answered: list[str] = []

    async def script(peer: Peer) -> None:
        await peer.expect("invocation_message")
        await peer.send(result("1"))
        await peer.expect("invocation_message")
        await peer.send(upload("/out/late"))
        answer = await peer.expect("artifact_upload_response_message")
        answered.append(answer["presigned_url"])
        await peer.send(result("2"))
        await peer.expect("end_session_message")
        await peer.send(upload("/out/later"))
        answer = await peer.expect("artifact_upload_response_message")
        answered.append(answer["presigned_url"])
        await peer.send(confirm())
        await peer.until_gone()

    def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        return ArtifactUploadResult(presigned_url=f"u/{request.filename}", content_type="x")

    session, _ = session_of(script)
    async with session:
        await ask(session, "1", artifacts_dir="/out", on_artifact_upload_request=on_artifact)
        assert await ask(session, "2") == "2"
    assert answered == ["u/late", "u/later"]


async def test_a_callback_that_fails_for_a_late_file_is_logged_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Section 9.4"""

    async def script(peer: Peer) -> None:
        await peer.expect("invocation_message")
        await peer.send(result("1"))
        await peer.expect("invocation_message")
        await peer.send(upload("/out/late"), result("2"))
        await peer.expect("end_session_message")
        await peer.send(upload("/out/later"), confirm())
        await peer.until_gone()

    def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        raise LookupError(request.filename)

    session, _ = session_of(script)
    async with session:
        await ask(session, "1", artifacts_dir="/out", on_artifact_upload_request=on_artifact)
        assert await ask(session, "2") == "2"
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [str(record.exc_info and record.exc_info[1]) for record in failures] == ["late", "later"]


async def test_a_connection_that_ends_breaks_the_session() -> None:
    """Section 9.2"""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.hang_up()

    session, _ = session_of(script)
    async with session:
        with pytest.raises(AgentRuntimeError, match=r"^No result message received$"):
            await ask(session, "a")
        with pytest.raises(AgentRuntimeError, match="its connection has ended"):
            await ask(session, "b")
