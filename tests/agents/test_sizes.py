"""Section 8.4: no message is larger than its client reads."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtimed.agents.messages import (
    AssistantMessageInterface,
    CommandOutputMessageInterface,
    ErrorMessageInterface,
    ResultMessageInterface,
    StructuredOutputResult,
    TextResult,
    decode,
    render_for_client,
)
from runtimed.agents.sizes import (
    LARGEST_LIMIT,
    SMALLEST_LIMIT,
    CommandEnd,
    Tail,
    assistant_messages,
    client_limit,
    encoded_size,
    execution_result,
    fitting_terminal,
    message_size,
    output_messages,
    shortened,
    split_text,
)

LIMIT = SMALLEST_LIMIT
LONG = st.text(st.sampled_from('aä€😀"\\\n\x00'), max_size=3000)


def tail(text: str, limit: int = 10**9) -> Tail:
    found = Tail(limit)
    for start in range(0, len(text), 100):
        found.add(text[start : start + 100])
    return found


def test_a_client_that_says_nothing_reads_a_mebibyte() -> None:
    """Section 1: 1,048,576 bytes for clients that have not said otherwise."""
    assert client_limit(None) == 1_048_576
    assert client_limit(100 << 20) == 100 << 20
    assert client_limit(1) == SMALLEST_LIMIT
    assert client_limit(-5) == SMALLEST_LIMIT
    assert client_limit(1 << 60) == LARGEST_LIMIT


@given(LONG, st.integers(16, 500))
def test_split_text_is_the_text_in_pieces_that_fit(text: str, limit: int) -> None:
    pieces = list(split_text(text, limit))
    assert "".join(pieces) == text
    assert all(encoded_size(piece) <= limit for piece in pieces)


@given(st.lists(LONG, max_size=4))
def test_assistant_messages_fit_and_say_the_same(blocks: list[str]) -> None:
    messages = list(assistant_messages(blocks, LIMIT))
    assert all(message_size(each) <= LIMIT for each in messages)
    assert "".join("".join(each.text_blocks) for each in messages) == "".join(blocks)


def test_what_fits_is_one_message_with_its_blocks() -> None:
    """Section 6.3: each call of the sender makes one message."""
    for blocks in (["a", "", "b"], [], [""]):
        assert list(assistant_messages(blocks, LIMIT)) == [
            AssistantMessageInterface(text_blocks=blocks)
        ]


@given(LONG, LONG, st.booleans())
def test_output_messages_fit_and_say_the_same(text: str, command: str, legacy: bool) -> None:
    messages = list(output_messages("stderr", text, command, LIMIT, legacy=legacy))
    assert all(message_size(each) <= LIMIT for each in messages)
    said = ""
    for each in messages:
        if isinstance(each, CommandOutputMessageInterface):
            assert not legacy
            assert each.stream == "stderr"
            said += each.text
        else:
            assert legacy
            said += "".join(each.text_blocks)
    assert said == text


@given(LONG, st.integers(80, 4000))
def test_a_shortened_text_fits(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert encoded_size(short) <= limit
    assert short == text or short.startswith(text[:1])


@given(st.lists(LONG, max_size=5))
def test_results_of_commands_fit_and_keep_the_ends(outputs: list[str]) -> None:
    """Section 6.2: capture is capped so that the whole terminal fits; the tail is kept."""
    message = execution_result([CommandEnd("c", 0, tail(text)) for text in outputs], LIMIT)
    assert message_size(message) <= LIMIT
    for item, text in zip(message.results, outputs, strict=True):
        if item.stdout_truncated:
            note, _, kept = (item.stdout or "").partition("\n")
            assert text.endswith(kept)
            gone = len(text[: len(text) - len(kept)].encode())
            assert note == f"[... {gone} bytes omitted ...]"
        else:
            assert (item.stdout or "") == text


def test_short_outputs_stay_whole_beside_a_long_one() -> None:
    ends = [CommandEnd("a", 0, tail("short")), CommandEnd("b", 3, tail("x" * 100_000))]
    first, second = execution_result(ends, LIMIT).results
    assert (first.stdout, first.stdout_truncated) == ("short", None)
    assert second.stdout is not None
    assert len(second.stdout) > LIMIT // 2
    assert second.exit_code == 3


def test_output_that_was_empty_is_left_out() -> None:
    """Section 6.2: left out when empty."""
    assert execution_result([CommandEnd("a", 0, tail(""))], LIMIT).results[0].stdout is None


def test_a_tail_keeps_the_end_and_counts_the_rest() -> None:
    found = tail("0123456789" * 1000, limit=250)
    assert found.text() == ("0123456789" * 1000)[-300:]
    assert found.omitted == 10_000 - 300
    item = found.result("c", 0)
    assert item.stdout is not None
    assert item.stdout.startswith("[... 9700 bytes omitted ...]\n0123")


def test_a_result_that_does_not_fit_says_so() -> None:
    """Section 8.4; weakness 28."""
    result = ResultMessageInterface(data=TextResult(text="x" * LIMIT), metadata={})
    error = terminal(result)
    assert error["error"] == (
        f"Result too large: {message_size(result)} bytes, the client reads at most {LIMIT}"
    )
    small = ResultMessageInterface(data=StructuredOutputResult(structured_output={}))
    assert terminal(small) == render_for_client(small)


def test_an_error_that_does_not_fit_keeps_its_beginning() -> None:
    error = terminal(ErrorMessageInterface(error="no: " + "ä" * 9000, metadata={}))
    assert error["error"].startswith("no: ää")
    error = terminal(ErrorMessageInterface(error="no", metadata={"much": "x" * 9000}))
    assert error == {
        "message_type": "error_message",
        "error": "no",
        "metadata": {"metadata_omitted": True},
    }


def terminal(message: ResultMessageInterface | ErrorMessageInterface) -> dict[str, Any]:
    text = fitting_terminal(message, LIMIT)
    assert len(text.encode()) <= LIMIT
    read: dict[str, Any] = decode(text)
    return read
