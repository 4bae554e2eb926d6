"""Answers, callbacks and time limits, on a runtime in memory, where the clock may jump.

Source: agent runtime specification; the numbers are its sections.
"""

from __future__ import annotations

import logging

import pytest
import trio
import trio.lowlevel
import trio.testing
from agent_peers import (
    MemoryTransport,
    Message,
    Peer,
    client_of,
    error,
    heartbeat,
    options,
    printed,
    result,
    results,
    said,
    saying,
    upload,
)

from runtimed.agents import (
    AgentRuntimeError,
    ArtifactUploadResult,
    CommandInterface,
    QueryResult,
    RuntimeUseClient,
    TextResult,
)
from runtimed.agents.messages import (
    ArtifactUploadRequestMessageInterface,
    AssistantMessageInterface,
    CommandOutputMessageInterface,
)

# ---------------------------------------------------------------------- 9.2 answers


async def test_a_query_gives_the_answer_and_its_metadata() -> None:
    """Section 9.2"""
    answer = await client_of(saying(result("hello", turns=3))).query("hi", options())
    assert answer == QueryResult(data=TextResult(text="hello"), metadata={"turns": 3})


async def test_commands_give_how_each_ended_and_a_failing_one_does_not_raise() -> None:
    """Section 9.2"""
    client = client_of(saying(results({"command": "false", "exit_code": 7, "stdout": "x"})))
    done = await client.execute_commands([CommandInterface(command="false")])
    assert [(item.exit_code, item.stdout) for item in done.results] == [(7, "x")]


async def test_an_error_of_the_runtime_is_raised_with_its_metadata() -> None:
    """Section 9.1: the text is the error, and the metadata as sorted JSON on the next line."""
    with pytest.raises(AgentRuntimeError) as caught:
        await client_of(saying(error("no model", b=1, a="x"))).query("hi", options())
    assert caught.value.error == "no model"
    assert caught.value.metadata == {"b": 1, "a": "x"}
    assert str(caught.value) == 'no model\nmetadata: {"a": "x", "b": 1}'


async def test_a_stream_without_an_end_is_an_error() -> None:
    """Section 9.2: after a clean close there is nothing beside the text."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.hang_up()

    with pytest.raises(AgentRuntimeError, match=r"^No result message received$") as caught:
        await client_of(script).query("hi", options())
    assert caught.value.metadata is None


@pytest.mark.parametrize(
    "end",
    [
        {
            "message_type": "result_message",
            "data": {"type": "structured_output", "structured_output": [1]},
        },
        {"message_type": "result_message", "data": {"type": "picture"}},
        {"message_type": "result_message"},
        {"message_type": "error_message"},
        {"message_type": "error_message", "error": 5},
        results(),
    ],
)
async def test_an_end_that_cannot_be_read_is_an_error_of_the_runtime(end: Message) -> None:
    """Section 9.2, weakness 32"""
    with pytest.raises(AgentRuntimeError, match="The runtime"):
        await client_of(saying(end)).query("hi", options())


async def test_messages_that_make_no_sense_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """Section 9.4"""
    strange: list[Message] = [
        {"message_type": "from_the_future", "x": 1},
        {"message_type": 5},
        {},
        {"message_type": "assistant_message", "text_blocks": "no list"},
    ]
    heard: list[list[str]] = []
    told = options(on_assistant_message=lambda message: heard.append(message.text_blocks))
    answer = await client_of(saying(*strange, said("a"), result())).query("hi", told)
    assert answer.data == TextResult(text="done")
    assert heard == [["a"]]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 4


# ---------------------------------------------------------------------- 9.4 callbacks


async def test_callbacks_run_one_at_a_time_in_the_order_of_the_wire() -> None:
    """Section 9.4; plain and async ones alike. All have run when the call returns."""
    seen: list[str] = []

    async def on_assistant(message: AssistantMessageInterface) -> None:
        seen.append(f"begin {message.text_blocks[0]}")
        await trio.lowlevel.checkpoint()
        seen.append(f"end {message.text_blocks[0]}")

    def on_output(message: CommandOutputMessageInterface) -> None:
        seen.append(f"{message.stream} {message.text}")

    script = saying(said("1"), printed("x"), heartbeat(), said("2"), printed("y"), result())
    await client_of(script).query(
        "hi", options(on_assistant_message=on_assistant, on_command_output=on_output)
    )
    assert seen == ["begin 1", "end 1", "stdout x", "begin 2", "end 2", "stdout y"]


async def test_what_a_callback_raises_comes_out_as_it_is() -> None:
    """Section 9.2: unchanged, and in no group."""
    mistake = LookupError("mine")

    async def on_assistant(message: AssistantMessageInterface) -> None:
        raise mistake

    with pytest.raises(LookupError) as caught:
        await client_of(saying(said("1"))).query("hi", options(on_assistant_message=on_assistant))
    assert caught.value is mistake


async def test_an_upload_request_is_answered_with_what_the_callback_gives() -> None:
    """Section 5.2, 9.4"""
    answers: list[Message | None] = []

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(upload("/out/a.txt"))
        answers.append(await peer.receive())
        await peer.send(result())
        await peer.expect("end_session_message")
        await peer.hang_up()

    async def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        return ArtifactUploadResult(presigned_url=f"u/{request.filename}", content_type="text/x")

    told = options(artifacts_dir="/out", on_artifact_upload_request=on_artifact)
    await client_of(script).query("hi", told)
    assert answers == [
        {
            "message_type": "artifact_upload_response_message",
            "filename": "a.txt",
            "filepath": "/out/a.txt",
            "presigned_url": "u/a.txt",
            "content_type": "text/x",
        }
    ]


async def test_an_upload_request_that_nobody_can_answer_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Section 9.4"""
    await client_of(saying(upload("/out/a.txt"), result())).query("hi", options())
    assert "'a.txt'" in caplog.text


async def test_an_upload_callback_that_gives_something_else_is_told_so() -> None:
    told = options(artifacts_dir="/out", on_artifact_upload_request=lambda request: "http://x")
    with pytest.raises(TypeError, match="must give an ArtifactUploadResult, not str"):
        await client_of(saying(upload("/out/a.txt"))).query("hi", told)


async def test_what_is_said_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Section 12, weakness 34: at no level, and types only at the lowest."""
    caplog.set_level(logging.DEBUG)
    script = saying(said("SECRET"), printed("SECRET"), error("SECRET"))
    with pytest.raises(AgentRuntimeError):
        await client_of(script).query("SECRET", options(secrets_to_redact=["SECRET"]))
    assert "assistant_message" in caplog.text
    assert "SECRET" not in caplog.text


async def test_the_log_is_the_one_of_the_options(caplog: pytest.LogCaptureFixture) -> None:
    """Section 9.3"""
    told = options(logger=logging.getLogger("mine"))
    await client_of(saying(upload("/a"), result())).query("hi", told)
    assert {record.name for record in caplog.records} == {"mine"}


# ---------------------------------------------------------------------- 9.3 time limits


async def test_a_call_ends_after_its_timeout(autojump_clock: trio.testing.MockClock) -> None:
    """Section 9.3: the builtin error and Trio's; counted from before connecting."""
    transport = MemoryTransport(lambda peer: peer.until_gone())
    with pytest.raises(TimeoutError) as caught:
        await RuntimeUseClient(transport=transport).query("hi", options(timeout=300))
    assert isinstance(caught.value, trio.TooSlowError)
    assert trio.current_time() == pytest.approx(300)
    assert transport.peers[0].gone.is_set()


async def test_silence_ends_a_call_and_heartbeats_are_no_silence(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Section 9.3"""

    async def script(peer: Peer) -> None:
        await peer.receive()
        for _ in range(5):
            await trio.sleep(15)
            await peer.send(heartbeat())
        await peer.until_gone()

    with pytest.raises(AgentRuntimeError) as caught:
        await client_of(script).query("hi", options(idle_timeout=20))
    assert caught.value.error == "No message received from agent runtime for 20s"
    assert caught.value.metadata == {
        "timeout_type": "idle_timeout",
        "idle_timeout": 20,
        "last_message_type": "heartbeat_message",
        "message_count": 5,
        "phase": "waiting_for_message",
    }
    assert trio.current_time() == pytest.approx(95)


async def test_a_long_callback_is_no_silence(autojump_clock: trio.testing.MockClock) -> None:
    """Section 9.3"""

    async def on_assistant(message: AssistantMessageInterface) -> None:
        await trio.sleep(60)

    told = options(on_assistant_message=on_assistant, idle_timeout=5)
    answer = await client_of(saying(said("1"), result())).query("hi", told)
    assert answer.data == TextResult(text="done")


async def test_a_callback_that_takes_too_long_ends_the_call(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Section 9.3"""

    async def on_assistant(message: AssistantMessageInterface) -> None:
        await trio.sleep_forever()

    told = options(on_assistant_message=on_assistant, assistant_callback_timeout=3)
    with pytest.raises(AgentRuntimeError) as caught:
        await client_of(saying(heartbeat(), said("1"), result())).query("hi", told)
    assert caught.value.error == "on_assistant_message callback timed out"
    assert caught.value.metadata == {
        "timeout_type": "assistant_callback_timeout",
        "timeout": 3,
        "last_message_type": "assistant_message",
        "message_count": 2,
        "phase": "assistant_callback",
    }


async def test_an_upload_callback_that_takes_too_long_ends_the_call(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Section 9.3"""

    async def on_artifact(request: ArtifactUploadRequestMessageInterface) -> ArtifactUploadResult:
        await trio.sleep_forever()
        raise AssertionError

    told = options(
        artifacts_dirs=["/out"],
        on_artifact_upload_request=on_artifact,
        artifact_upload_callback_timeout=3,
    )
    with pytest.raises(AgentRuntimeError) as caught:
        await client_of(saying(upload("/out/a"), result())).query("hi", told)
    assert caught.value.error == "on_artifact_upload_request callback timed out"
    assert caught.value.metadata == {
        "timeout_type": "artifact_upload_callback_timeout",
        "timeout": 3,
        "filename": "a",
        "filepath": "/out/a",
    }
