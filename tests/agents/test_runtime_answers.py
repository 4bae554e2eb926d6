"""What handlers answer, say and raise, and what becomes of it. Sections 6.3, 6.4, 7, 8.4, 10.2."""

from __future__ import annotations

import logging
import threading
from typing import Any

import attrs
import pytest
import trio
from runtime_peer import QUICK, connected, execution, invocation

from runtimed.agents.handler import Answer, Invocation, Sender
from runtimed.agents.messages import StructuredOutputResult, TextResult
from runtimed.agents.runtime import blocked_loop
from waiting import wait_until_async

pytestmark = pytest.mark.real


class Says:
    """A handler that does what a test hands it."""

    def __init__(self, do: Any) -> None:
        self.do = do

    async def run(self, invocation: Invocation, sender: Sender) -> Any:
        return self.do(invocation, sender)


async def answered(do: Any, settings: Any = QUICK, **fields: Any) -> list[dict[str, Any]]:
    """All that comes for one invocation of such a handler; the connection is of use after it."""
    async with connected(Says(do), settings) as peer:
        seen = await peer.ask(invocation(**fields))
        assert await peer.ask(execution()) == [
            {"message_type": "command_execution_result_message", "results": []}
        ]
    return seen


@pytest.mark.parametrize(
    ("returned", "data", "metadata"),
    [
        (TextResult(text="a"), {"type": "text", "text": "a"}, {}),
        (
            {"type": "text", "text": "a", "metadata": {"b": 1}},
            {"type": "text", "text": "a"},
            {"b": 1},
        ),
        ({"type": "text", "text": "a", "metadata": None}, {"type": "text", "text": "a"}, {}),
        (
            {"type": "structured_output", "structured_output": {"a": [1]}},
            {"type": "structured_output", "structured_output": {"a": [1]}},
            {},
        ),
        (
            {"type": "structured_output", "structuredOutput": {"a": 1}},
            {"type": "structured_output", "structured_output": {"a": 1}},
            {},
        ),
        (
            Answer(data=StructuredOutputResult(structured_output={}), metadata={"usage": {"t": 3}}),
            {"type": "structured_output", "structured_output": {}},
            {"usage": {"t": 3}},
        ),
    ],
)
async def test_what_a_handler_may_return(returned: Any, data: Any, metadata: Any) -> None:
    """Section 10.2."""
    (terminal,) = await answered(lambda *_: returned)
    assert terminal == {"message_type": "result_message", "data": data, "metadata": metadata}


@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (None, "The handler returned NoneType, which is no answer"),
        ("text", "The handler returned str"),
        ({"type": "other"}, "needs a type"),
        ({"type": "text"}, "has no text"),
        ({"type": "text", "text": 3}, "text must be a string"),
        ({"type": "structured_output", "structured_output": [1]}, "must be an object"),
        ({"type": "text", "text": "", "metadata": [1]}, "metadata must be a dict"),
        ({"type": "text", "text": "", "metadata": {"a": object()}}, "cannot be written as JSON"),
    ],
)
async def test_what_is_no_answer_is_an_error(returned: Any, complaint: str) -> None:
    """Sections 6.4, 10.2; weakness 32's cause."""
    (terminal,) = await answered(lambda *_: returned)
    assert terminal["message_type"] == "error_message"
    assert complaint in terminal["error"]


async def test_a_handler_that_refers_to_itself_is_an_error() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    (terminal,) = await answered(lambda *_: {"type": "text", "text": "", "metadata": loop})
    assert terminal["message_type"] == "error_message"


async def test_what_a_handler_raises_is_its_clients_error() -> None:
    """Section 7: its message; weakness 24: no stack traces."""

    def fail(*_: Any) -> None:
        raise LookupError("nothing about hunter2")

    (terminal,) = await answered(fail, secrets_to_redact=["hunter2"])
    assert terminal == {
        "message_type": "error_message",
        "error": "nothing about [REDACTED]",
        "metadata": {"error_name": "LookupError"},
    }
    (terminal,) = await answered(fail, attrs.evolve(QUICK, debug=True))
    assert "Traceback" in terminal["metadata"]["traceback"]


async def test_the_first_error_that_a_handler_sends_is_the_one_terminal() -> None:
    """Section 7, MUST; weakness 2: two terminals after `send_error_message`."""

    def refuse(_: Invocation, sender: Sender) -> TextResult:
        sender.send_error_message("first", {"tries": 1})
        sender.send_error_message("second")
        sender.send_assistant_message(["still talking"])
        return TextResult(text="and an answer")

    def fail(_: Invocation, sender: Sender) -> None:
        sender.send_error_message("first", {"tries": 1})
        raise ValueError("unheard")

    for do in (refuse, fail):
        *_, terminal = await answered(do)
        assert terminal == {
            "message_type": "error_message",
            "error": "first",
            "metadata": {"tries": 1},
        }


async def test_an_error_whose_metadata_is_no_json_is_a_terminal_too() -> None:
    """Section 10.2: `metadata` must be JSON-serialisable; not so gives an `error_message`."""

    def refuse(_: Invocation, sender: Sender) -> None:
        sender.send_error_message("first", {"it": object()})

    (terminal,) = await answered(refuse)
    assert "cannot be written as JSON" in terminal["error"]


async def test_what_a_handler_gets() -> None:
    """Section 10.2."""
    got: list[Invocation] = []

    def take(invocation: Invocation, _: Sender) -> TextResult:
        got.append(invocation)
        return TextResult(text="")

    await answered(
        take,
        prompt="p",
        agent_env={"A": "b"},
        secrets_to_redact=["s3"],
        output_format_json_schema_str='{"type":"object"}',
    )
    (one,) = got
    assert (one.system_prompt, one.user_prompt, one.model) == ("s", "p", "m")
    assert (one.env, one.secrets, one.output_format) == ({"A": "b"}, ["s3"], {"type": "object"})
    assert not one.cancelled.is_set()
    assert one.signal is one.cancelled


async def test_each_call_of_the_sender_is_one_message_in_order() -> None:
    """Section 6.3; redacted (4) and under the client's limit (8.4)."""

    def talk(_: Invocation, sender: Sender) -> TextResult:
        sender.send_assistant_message(["a", "b"])
        sender.send_assistant_message(["my s3cret"])
        sender.send_assistant_message(["x" * 10_000 + "s3cret"])
        return TextResult(text="s3cret")

    seen = await answered(talk, secrets_to_redact=["s3cret"], client_max_message_bytes=5000)
    assert seen[0]["text_blocks"] == ["a", "b"]
    assert seen[1]["text_blocks"] == ["my [REDACTED]"]
    assert len(seen) > 4
    assert "".join(seen[n]["text_blocks"][0] for n in range(2, len(seen) - 1)) == (
        "x" * 10_000 + "[REDACTED]"
    )
    assert seen[-1]["data"]["text"] == "[REDACTED]"


async def test_what_a_handler_says_after_its_request_is_not_sent() -> None:
    """Section 3.1, MUST: nothing of a request after its terminal."""
    kept: list[Sender] = []

    def keep(_: Invocation, sender: Sender) -> TextResult:
        for each in kept:
            each.send_assistant_message(["from the past"])
        kept.append(sender)
        return TextResult(text="")

    async with connected(Says(keep)) as peer:
        assert len(await peer.ask(invocation())) == 1
        assert len(await peer.ask(invocation())) == 1


async def test_a_result_over_the_clients_limit_is_an_error_that_says_so() -> None:
    """Section 8.4; weakness 28: ends in "No result message received"."""

    def much(*_: Any) -> TextResult:
        return TextResult(text="ä" * 600_000)

    (terminal,) = await answered(much)
    assert terminal["error"].startswith("Result too large: 12000")
    assert terminal["error"].endswith("bytes, the client reads at most 1048576")
    (terminal,) = await answered(much, client_max_message_bytes=100 << 20)
    assert terminal["data"]["text"] == "ä" * 600_000


async def test_a_plain_send_fails_the_request_when_far_too_much_waits() -> None:
    """Section 10.2: the outgoing buffer must be bounded."""

    def flood(_: Invocation, sender: Sender) -> TextResult:
        while True:
            sender.send_assistant_message(["x" * 1000])

    *_, terminal = await answered(flood, attrs.evolve(QUICK, max_waiting_bytes=100_000))
    assert terminal["error"].startswith("The client reads too slowly: ")


SCHEMA = '{"type":"json_schema","schema":{"type":"object","required":["count"]}}'


async def test_structured_output_is_held_against_its_schema() -> None:
    """The issue: validated against the JSON schema."""

    def count(invocation: Invocation, _: Sender) -> StructuredOutputResult:
        return StructuredOutputResult(structured_output={invocation.user_prompt: 1})

    fields = {"output_format_json_schema_str": SCHEMA}
    (terminal,) = await answered(count, prompt="count", **fields)
    assert terminal["data"]["structured_output"] == {"count": 1}
    (terminal,) = await answered(count, prompt="other", **fields)
    assert terminal["error"] == (
        "Structured output does not follow its schema: $: 'count' is a required property"
    )
    assert terminal["metadata"]["structured_output"] == {"other": 1}
    lenient = attrs.evolve(QUICK, on_schema_mismatch="warn")
    (terminal,) = await answered(count, lenient, prompt="other", **fields)
    assert terminal["data"]["structured_output"] == {"other": 1}


async def test_text_where_a_schema_was_given_is_left_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Section 6.4: "leave it but log a warning"."""
    (terminal,) = await answered(
        lambda *_: TextResult(text="a"), output_format_json_schema_str=SCHEMA
    )
    assert terminal["data"]["text"] == "a"
    assert "A schema was given" in caplog.text


async def test_a_schema_that_is_not_json_is_refused_before_anything_is_done(tmp_path: Any) -> None:
    """Section 6.4; weakness 23: parsed only after the pre-agent commands have run."""
    mark = tmp_path / "mark"
    async with connected() as peer:
        seen = await peer.ask(
            invocation(
                output_format_json_schema_str="{",
                pre_agent_invocation_commands=[{"command": f"touch {mark}"}],
                artifacts_dirs=[str(tmp_path / "made")],
            )
        )
    assert [each["message_type"] for each in seen] == ["error_message"]
    assert list(tmp_path.iterdir()) == []


async def test_json_that_is_no_schema_goes_to_the_handler_unchecked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (terminal,) = await answered(
        lambda *_: StructuredOutputResult(structured_output={"a": 1}),
        output_format_json_schema_str='{"type":"banana"}',
    )
    assert terminal["data"]["structured_output"] == {"a": 1}
    assert "the schema is unusable" in caplog.text


async def test_the_log_names_who_asked_and_holds_no_secret_prompt_or_result(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sections 4, 10.5: `[<source_id>] text`, redacted; no prompts, results, presigned URLs."""

    def log(invocation: Invocation, _: Sender) -> TextResult:
        invocation.logger.info("working with %s", "hunter2")
        try:
            raise ValueError("hunter2")
        except ValueError:
            invocation.logger.exception("it broke: %(why)s", {"why": "hunter2"})
        return TextResult(text="the-result")

    caplog.set_level(logging.INFO)
    await answered(log, prompt="the-prompt", source_id="caller-1", secrets_to_redact=["hunter2"])
    assert "[caller-1] working with [REDACTED]" in caplog.text
    assert "it broke: [REDACTED]" in caplog.text
    assert "ValueError: [REDACTED]" in caplog.text
    for text in ("hunter2", "the-prompt", "the-result"):
        assert text not in caplog.text


async def test_a_handler_that_blocks_the_loop_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The issue: a handler that blocks the loop is found and named in the log."""
    told = threading.Event()
    warn = logging.Logger.warning

    def warning(self: logging.Logger, message: str, *args: Any) -> None:
        warn(self, message, *args)
        if "blocked" in message:
            told.set()

    monkeypatch.setattr(logging.Logger, "warning", warning)
    monkeypatch.setattr(blocked_loop, "PATIENCE", 0.1)

    def the_one_that_blocks(*_: Any) -> TextResult:
        assert told.wait(30)
        return TextResult(text="")

    await answered(the_one_that_blocks)
    assert "The event loop has been blocked" in caplog.text
    assert "the_one_that_blocks" in caplog.text


async def test_the_echo_agent_answers_with_the_prompt() -> None:
    async with connected() as peer:
        seen = await peer.ask(
            invocation('{"a": 1}', output_format_json_schema_str='{"type":"object"}')
        )
        assert seen[-1]["data"] == {"type": "structured_output", "structured_output": {"a": 1}}
        seen = await peer.ask(invocation("word", output_format_json_schema_str='{"type":"object"}'))
        assert seen[-1]["data"]["structured_output"] == {"prompt": "word"}


async def test_a_class_handler_gets_its_scope_cancelled_after_its_flag_is_set() -> None:
    """Section 10.2: set on cancel, just before the handler's scope is cancelled."""
    order: list[bool] = []
    started = trio.Event()

    class Waits:
        async def run(self, invocation: Invocation, sender: Sender) -> None:
            started.set()
            try:
                await trio.sleep_forever()
            finally:
                order.append(invocation.cancelled.is_set())

    async with connected(Waits) as peer:
        await peer.send(invocation())
        await started.wait()
        await peer.ask({"message_type": "cancel_message"})
        await wait_until_async(lambda: order)
    assert order == [True]
