"""Section 4 of the agent protocol: no secret leaves the runtime."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.agents.messages import (
    ArtifactUploadRequestMessageInterface,
    AssistantMessageInterface,
    CommandExecutionResultMessageInterface,
    CommandOutputMessageInterface,
    CommandResultItem,
    ErrorMessageInterface,
    HeartbeatMessageInterface,
    ResultMessageInterface,
    StructuredOutputResult,
    TextResult,
    render_for_client,
)
from runtimed.agents.redaction import REPLACEMENT, Redactor, StreamRedactor, redacted

SMALL = st.text(alphabet="ab[R", max_size=6)
SECRETS = st.lists(SMALL, max_size=4)


def in_chunks(secrets: list[str], chunks: list[str]) -> str:
    stream = StreamRedactor(Redactor(secrets))
    return "".join([*(stream.feed(chunk) for chunk in chunks), stream.end()])


@given(SECRETS, st.lists(SMALL, max_size=8))
def test_chunks_are_redacted_as_the_whole_text_is(secrets: list[str], chunks: list[str]) -> None:
    """Section 4, "across chunk borders"."""
    assert in_chunks(secrets, chunks) == Redactor(secrets).text("".join(chunks))


@given(st.lists(st.text(alphabet="ab", min_size=1), max_size=4), st.text(alphabet="abc"))
def test_no_secret_is_left(secrets: list[str], text: str) -> None:
    for piece in Redactor(secrets).text(text).split(REPLACEMENT):
        assert not any(secret in piece for secret in secrets)


def test_the_longest_secret_is_replaced_first() -> None:
    """Section 4; weakness 13: overlapping secrets leak their tails."""
    assert Redactor(["abc", "abcdef", ""]).text("x abcdef y abc") == "x [REDACTED] y [REDACTED]"


def test_what_was_put_in_is_not_redacted_again() -> None:
    """Section 4: secrets found inside `[REDACTED]`."""
    redactor = Redactor(["key", "RED", "E"])
    assert redactor.text("a key") == "a [REDACTED]"
    assert redactor.text(redactor.text("a key")) == "a [REDACTED]"


def test_text_is_held_back_only_while_it_may_begin_a_secret() -> None:
    stream = StreamRedactor(Redactor(["hunter2"]))
    assert stream.feed("my password is hun") == "my password is "
    assert stream.feed("ger") == "hunger"
    assert stream.feed("; hunter") == "; "
    assert stream.feed("2!") == "[REDACTED]!"
    assert stream.feed("h") == ""
    assert stream.end() == "h"
    assert stream.end() == ""


def test_a_secret_in_pieces_of_one_character() -> None:
    """Weakness 13: secrets split over two output chunks leak."""
    assert in_chunks(["hunter2"], list("a hunter2 b")) == "a [REDACTED] b"


def test_many_matches_in_a_large_chunk_take_one_pass() -> None:
    stream = StreamRedactor(Redactor(["ab" * 20, "b"]))
    assert stream.feed("xb" * 200_000) == f"x{REPLACEMENT}" * 200_000


def test_values_and_keys_at_any_depth_are_redacted() -> None:
    """Section 4: map keys, too; on collision keep both, numbered."""
    data = {"a": ["s3cret", {"s3cret": 1, "other": 2}], "s3cret": 1, "t0ken": 2, "n": 3.5}
    assert Redactor(["s3cret", "t0ken", "5"]).data(data) == {
        "a": [REPLACEMENT, {REPLACEMENT: 1, "other": 2}],
        REPLACEMENT: 1,
        f"{REPLACEMENT} (2)": 2,
        "n": 3.5,
    }


WORDS = ["text", "result", "message", "stdout", "request", "e", "/tmp", "type", "1"]
MESSAGES: list[Any] = [
    AssistantMessageInterface(text_blocks=["text"]),
    ResultMessageInterface(data=TextResult(text="text"), metadata={"text": "result"}),
    ResultMessageInterface(data=StructuredOutputResult(structured_output={"type": "text"})),
    ErrorMessageInterface(error="text", metadata={"type": ["e"]}),
    CommandOutputMessageInterface(stream="stdout", text="kept", command="text"),
    CommandExecutionResultMessageInterface(
        results=[CommandResultItem(command="text", exit_code=1, stdout="kept")]
    ),
    HeartbeatMessageInterface(phase="request_in_flight", elapsed_ms=1),
    ArtifactUploadRequestMessageInterface(filename="text", filepath="/tmp/text"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.message_type)
def test_fields_of_the_protocol_are_never_altered(message: Any) -> None:
    """Section 4, MUST; weaknesses 11 and 12."""
    before = render_for_client(message)
    after = render_for_client(redacted(message, Redactor(WORDS)))
    assert after.keys() == before.keys()
    for name in ("message_type", "stream", "phase", "elapsed_ms", "filename", "filepath"):
        assert after.get(name) == before.get(name)
    if "data" in before:
        assert after["data"]["type"] == before["data"]["type"]
        assert after["data"].keys() == before["data"].keys()


def test_what_programs_wrote_is_redacted() -> None:
    """Section 4: assistant text, result text and values, error text, metadata, command text."""
    seen = [render_for_client(redacted(message, Redactor(["text"]))) for message in MESSAGES]
    assert seen[0]["text_blocks"] == [REPLACEMENT]
    assert seen[1]["data"]["text"] == REPLACEMENT
    assert seen[1]["metadata"] == {REPLACEMENT: "result"}
    assert seen[2]["data"]["structured_output"] == {"type": REPLACEMENT}
    assert seen[3]["error"] == REPLACEMENT
    assert seen[4]["command"] == REPLACEMENT
    assert seen[5]["results"][0]["command"] == REPLACEMENT


def test_without_secrets_a_message_is_left_as_it_is() -> None:
    """Weakness 1: a request without secrets must not be an error."""
    for message in MESSAGES:
        assert redacted(message, Redactor()) is message
    assert in_chunks([], ["a", "b"]) == "ab"
