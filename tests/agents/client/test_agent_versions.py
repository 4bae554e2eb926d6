"""One-shot calls on runtimes of both ages: the reference's 0.7.0 and 0.15.1, in memory.

Source: agent runtime specification; the numbers are its sections.
"""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from agent_peers import (
    MemoryTransport,
    Message,
    Peer,
    Script,
    confirm,
    error,
    options,
    printed,
    result,
    said,
    upload,
)
from reference_runtimes import Reference0151, Reference07, answer_at_once

from runtimed.agents import (
    AgentRuntimeError,
    ArtifactUploadResult,
    AssistantMessageInterface,
    CancelledException,
    CommandInterface,
    QueryOptions,
    QueryResult,
    RuntimeUseClient,
    TextResult,
)
from runtimed.agents.messages import ArtifactUploadRequestMessageInterface

Clock = trio.testing.MockClock

ANSWER = TextResult(text="answer to hi")


def with_folder(**more: Any) -> QueryOptions:
    def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        return ArtifactUploadResult(presigned_url=f"u/{request.filename}", content_type="x")

    return options(artifacts_dir="/out", on_artifact_upload_request=on_artifact, **more)


def with_post_command(**more: Any) -> QueryOptions:
    return options(post_agent_invocation_commands=[CommandInterface(command="ls")], **more)


async def query(script: Script, told: QueryOptions) -> tuple[QueryResult, Peer]:
    transport = MemoryTransport(script)
    answer = await RuntimeUseClient(transport=transport).query("hi", told)
    await trio.testing.wait_all_tasks_blocked()
    return answer, transport.peers[0]


@pytest.mark.parametrize("runtime", [Reference07(), Reference0151()])
async def test_a_plain_call_hangs_up_behind_the_end(runtime: Script, autojump_clock: Clock) -> None:
    """Section 8.3: nothing can come any more. 0.7.0 would take three seconds to close."""
    answer, peer = await query(runtime, options())
    assert answer.data == ANSWER
    assert peer.kinds == ["invocation_message"]
    assert peer.gone.is_set()
    assert trio.current_time() < 0.1


async def test_files_that_come_behind_the_result_are_uploaded_from_an_old_runtime(
    autojump_clock: Clock,
) -> None:
    """Section 8.3: 0.7.0 takes no notice of the end of the session, and closes at last."""
    urls: list[str] = []

    async def behind(request: Message, peer: Peer) -> Message:
        for name in ("a", "b"):
            await peer.send(upload(f"/out/{name}"))
            await trio.sleep(1)
        urls.extend(each["presigned_url"] for each in peer.heard if "presigned_url" in each)
        return result()

    answer, peer = await query(Reference07(behind=behind, pause=3), with_folder())
    assert answer.data == ANSWER
    assert peer.kinds[:2] == ["invocation_message", "end_session_message"]
    assert urls == ["u/a", "u/b"]


async def test_a_current_runtime_is_asked_for_the_end_of_the_session() -> None:
    """Section 8.3"""

    async def script(peer: Peer) -> None:
        await peer.expect("invocation_message")
        await peer.send(result())
        await peer.expect("end_session_message")
        await peer.send(upload("/out/late"))
        await peer.expect("artifact_upload_response_message")
        await peer.send(confirm())
        await peer.until_gone()

    answer, peer = await query(script, with_folder())
    assert answer.data == TextResult(text="done")
    assert peer.kinds[-1] == "artifact_upload_response_message"


async def test_an_old_runtime_runs_the_post_commands_and_their_output_is_heard(
    autojump_clock: Clock,
) -> None:
    """Section 8.3, 8.1"""
    heard: list[str] = []

    async def behind(request: Message, peer: Peer) -> Message:
        await peer.send(said("total 0"))
        return result()

    def on_assistant(message: AssistantMessageInterface) -> None:
        heard.extend(message.text_blocks)

    told = with_post_command(on_assistant_message=on_assistant)
    answer, _ = await query(Reference07(behind=behind, pause=3), told)
    assert (answer.data, heard) == (ANSWER, ["total 0"])


async def test_an_error_of_the_post_commands_comes_behind_the_result_and_counts(
    autojump_clock: Clock,
) -> None:
    """Section 8.3"""

    async def behind(request: Message, peer: Peer) -> Message:
        return error("post-agent command failed with exit code: 1")

    with pytest.raises(AgentRuntimeError, match="exit code: 1"):
        await query(Reference07(behind=behind, pause=3), with_post_command())


async def test_behind_an_error_there_is_nothing_to_wait_for() -> None:
    """Section 8.3: after a result only."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(error("no"))
        await peer.until_gone()

    transport = MemoryTransport(script)
    with pytest.raises(AgentRuntimeError, match=r"^no$"):
        await RuntimeUseClient(transport=transport).query("hi", with_folder())
    assert transport.peers[0].kinds == ["invocation_message"]


async def endless(peer: Peer) -> None:
    await peer.receive()
    await peer.send(result())
    await peer.until_gone()


async def test_what_comes_behind_a_result_is_waited_for_a_minute(autojump_clock: Clock) -> None:
    """Section 8.3: then the result is what there is."""
    answer, _ = await query(endless, with_folder())
    assert answer.data == TextResult(text="done")
    assert trio.current_time() == pytest.approx(60)


async def test_but_never_past_the_timeout(autojump_clock: Clock) -> None:
    """Section 8.3: and a silence is none of the agent's."""
    answer, _ = await query(endless, with_folder(timeout=30, idle_timeout=5))
    assert answer.data == TextResult(text="done")
    assert trio.current_time() == pytest.approx(30)


async def test_an_abort_behind_a_result_raises_at_once(autojump_clock: Clock) -> None:
    """Section 9.2"""
    client = RuntimeUseClient(transport=MemoryTransport(endless))
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.sleep(2)
            client.abort()

        nursery.start_soon(abort)
        with pytest.raises(CancelledException):
            await client.query("hi", with_folder())
    assert trio.current_time() == pytest.approx(2)


async def test_commands_for_an_old_runtime_are_an_error_and_no_hang() -> None:
    """Section 8.3"""
    client = RuntimeUseClient(transport=MemoryTransport(Reference07()))
    with pytest.raises(AgentRuntimeError, match="Unknown message type"):
        await client.execute_commands([CommandInterface(command="ls")])


@pytest.mark.parametrize("runtime", [Reference07, Reference0151])
async def test_both_runtimes_end_an_aborted_call(
    runtime: type[Reference07] | type[Reference0151], autojump_clock: Clock
) -> None:
    """Section 8.1: 0.7.0 closes, 0.15.1 sends an end; to the caller it is the same."""

    async def work(request: Message, peer: Peer) -> Message:
        await trio.sleep_forever()
        return await answer_at_once(request, peer)

    client = RuntimeUseClient(transport=MemoryTransport(runtime(work)))
    async with trio.open_nursery() as nursery:

        async def abort() -> None:
            await trio.sleep(2)
            client.abort()

        nursery.start_soon(abort)
        with pytest.raises(CancelledException):
            await client.query("hi", options())
    assert trio.current_time() == pytest.approx(2)


async def test_commands_output_comes_as_what_the_runtime_makes_of_it() -> None:
    """Section 8.1: of its own kind since 0.14."""
    heard: list[str] = []

    async def work(request: Message, peer: Peer) -> Message:
        await peer.send(printed("x", stream="stderr"))
        return await answer_at_once(request, peer)

    told = options(on_command_output=lambda message: heard.append(message.stream))
    await query(Reference0151(work), told)
    assert heard == ["stderr"]
