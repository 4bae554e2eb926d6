"""The agent that is a program of its own."""

from __future__ import annotations

import sys
from typing import Any, Literal

import pytest
from runtime_peer import connected, invocation

from runtimed.agents.handlers.command import CommandAgent

pytestmark = pytest.mark.real

PYTHON = [sys.executable, "-S", "-c"]


async def talked(
    code: str, output: Literal["text", "jsonl"] = "text", *arguments: str, **fields: Any
) -> tuple[list[str], dict[str, Any]]:
    """What such a program says, and the terminal."""
    async with connected(CommandAgent([*PYTHON, code, *arguments], output)) as peer:
        *said, terminal = await peer.ask(invocation(**fields))
    return [text for each in said for text in each["text_blocks"]], terminal


async def test_the_prompt_is_on_standard_input_and_lines_are_messages() -> None:
    said, terminal = await talked("print(input()[::-1]); print(); print('ä')", prompt="abc")
    assert said == ["cba", "ä"]
    assert terminal["data"]["text"] == "cba\n\nä\n"


async def test_the_prompt_is_an_argument_where_that_is_wanted() -> None:
    code = "import sys; print(*sys.argv[1:], repr(sys.stdin.read()))"
    said, _ = await talked(code, "text", "{prompt}", "-m", "{model}/{prompt}", prompt="{model} x")
    assert said == ["{model} x -m m/{model} x ''"]


async def test_the_agents_environment_is_there() -> None:
    code = "import os; print(os.environ['A'], os.environ['AGENT_MODEL'])"
    assert (await talked(code, agent_env={"A": "b"}))[0] == ["b m"]


async def test_lines_of_json_are_messages_and_an_answer() -> None:
    code = """if 1:
        print('{"type": "assistant_message", "text_blocks": ["a", "b"]}')
        print('plain')
        print('[1]')
        print('{"type":"structured_output","structured_output":{"n":1},"metadata":{"t":2}}')
    """
    said, terminal = await talked(code, "jsonl")
    assert said == ["a", "b", "plain", "[1]"]
    assert terminal["data"] == {"type": "structured_output", "structured_output": {"n": 1}}
    assert terminal["metadata"] == {"t": 2}
    wire = (
        'print(\'{"message_type":"result_message","data":{"type":"text","text":"x"},'
        '"metadata":{"k":1}}\')'
    )
    _, terminal = await talked(wire, "jsonl")
    assert terminal["data"] == {"type": "text", "text": "x"}
    assert terminal["metadata"] == {"k": 1}


async def test_an_error_message_of_the_program_is_the_terminal() -> None:
    code = 'print(\'{"type":"error_message","error":"no","metadata":{"a":1}}\')'
    said, terminal = await talked(code, "jsonl")
    assert (said, terminal["error"], terminal["metadata"]) == ([], "no", {"a": 1})


async def test_a_program_that_fails_is_an_error_with_what_it_said_last() -> None:
    code = "import sys; print('said'); print('hunter2 went wrong', file=sys.stderr); sys.exit(3)"
    said, terminal = await talked(code, secrets_to_redact=["hunter2"])
    assert said == ["said"]
    assert terminal["error"] == "agent command failed with exit code: 3"
    assert terminal["metadata"]["stderr"] == "[REDACTED] went wrong"


async def test_a_program_that_is_not_there_is_an_error() -> None:
    async with connected(CommandAgent(["/no/such/program"])) as peer:
        (terminal,) = await peer.ask(invocation())
    assert terminal["error"].startswith("Command could not be started: ")


async def test_a_program_that_does_not_read_its_prompt_is_no_error() -> None:
    said, _ = await talked("print('done')", prompt="x" * 1_000_000)
    assert said == ["done"]


async def test_a_line_without_an_end_is_sent_in_pieces_with_secrets_redacted() -> None:
    code = "import sys; sys.stdout.write('x' * 200_000 + 's3cret' + 'y' * 200_000)"
    said, terminal = await talked(code, secrets_to_redact=["s3cret"])
    assert len(said) > 2
    assert "".join(said) == terminal["data"]["text"]
    assert terminal["data"]["text"] == "x" * 200_000 + "[REDACTED]" + "y" * 200_000
