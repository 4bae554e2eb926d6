"""The agent that is a program of its own: one run for each prompt.

The program gets the prompt on its standard input, or as an argument where `{prompt}` stands. What
it prints are assistant messages, line by line, and all of it is the answer; or, as JSON lines, it
prints assistant messages and its answer as they are on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs

from runtimed.agents.errors import AgentRuntimeError
from runtimed.agents.handler import Answer, Invocation, Sender, as_answer
from runtimed.agents.messages import TextResult, decode
from runtimed.agents.redaction import Redactor, StreamRedactor
from runtimed.agents.runtime.commands import run_program

__all__ = ["CommandAgent"]

#: A line longer than this is sent in pieces, so that a program that never ends one is seen, too.
_LONGEST_LINE = 1 << 16
#: How much of a program's standard error an error shows.
_SHOWN = 2000
#: How much of what a program prints can be its answer.
_LONGEST_ANSWER = 64 << 20


@attrs.define
class CommandAgent:
    """Runs a program for each prompt.

    Shape: `argv` is the program with its arguments; in each, `{prompt}`, `{system_prompt}` and
    `{model}` are replaced. Without `{prompt}` the prompt comes on standard input. With
    `output="jsonl"` each line is a JSON object: an `assistant_message`, a `result_message` or a
    result; other lines are taken as text.
    """

    argv: Sequence[str]
    output: Literal["text", "jsonl"] = "text"

    async def run(self, invocation: Invocation, sender: Sender) -> Answer:
        texts = {
            "{prompt}": invocation.user_prompt,
            "{system_prompt}": invocation.system_prompt,
            "{model}": invocation.model,
        }
        as_argument = any("{prompt}" in each for each in self.argv)
        reader = _Output(self.output, sender, Redactor(invocation.secrets))
        code = await run_program(
            [_filled(each, texts) for each in self.argv],
            reader.take,
            env={
                **(invocation.env or {}),
                "AGENT_MODEL": invocation.model,
                "AGENT_SYSTEM_PROMPT": invocation.system_prompt,
            },
            stdin=None if as_argument else invocation.user_prompt.encode("utf-8", "replace"),
        )
        await reader.end()
        if code:
            said = reader.errors[-_SHOWN:].strip()
            raise AgentRuntimeError(
                f"agent command failed with exit code: {code}", {"exit_code": code, "stderr": said}
            )
        return reader.answer or Answer(data=TextResult(text="".join(reader.text)))


def _filled(argument: str, texts: dict[str, str]) -> str:
    for name, text in texts.items():
        if name in argument:
            before, _, after = argument.partition(name)
            return f"{_filled(before, texts)}{text}{_filled(after, texts)}"
    return argument


class _Output:
    """What a program prints, as messages and an answer."""

    def __init__(self, kind: str, sender: Sender, redactor: Redactor) -> None:
        self._kind = kind
        self._sender = sender
        self._stream = StreamRedactor(redactor)
        self._pieces: list[str] = []
        self._held = 0
        self._length = 0
        self.text: list[str] = []
        self.errors = ""
        self.answer: Answer | None = None

    async def take(self, stream: str, text: str) -> None:
        if stream == "stderr":
            self.errors = (self.errors + text)[-2 * _SHOWN :]
            return
        # Lines of JSON are complete before anything is sent; text is sent as it comes.
        await self._lines(text if self._kind == "jsonl" else self._stream.feed(text))

    async def end(self) -> None:
        await self._lines(self._stream.end())
        if self._pieces:
            await self._whole(self._waiting())

    async def _lines(self, text: str) -> None:
        """Take text apart into lines; a line that is not complete waits in pieces."""
        *lines, rest = text.split("\n")
        for line in lines:
            await self._whole(f"{self._waiting()}{line}\n")
        if rest:
            self._pieces.append(rest)
            self._held += len(rest)
        if self._kind == "text" and self._held > _LONGEST_LINE:
            await self._whole(self._waiting())
        if self._held > _LONGEST_ANSWER:
            raise AgentRuntimeError("the agent command printed a line that is too long")

    def _waiting(self) -> str:
        """The pieces of the line that is not complete; they are taken."""
        held = "".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return held

    async def _whole(self, line: str) -> None:
        if self._kind == "jsonl" and await self._message(line):
            return
        self._length += len(line)
        if self._length > _LONGEST_ANSWER:
            raise AgentRuntimeError("the agent command printed more than an answer can hold")
        self.text.append(line)
        if line.rstrip("\n"):
            await self._sender.wait_assistant_message([line.rstrip("\n")])

    async def _message(self, line: str) -> bool:
        """Whether a line was JSON that means something to us; it is then done."""
        try:
            data: Any = decode(line)
        except ValueError:
            return False
        if not isinstance(data, dict):
            return False
        kind = data.get("message_type", data.get("type"))
        if kind == "assistant_message" and isinstance(data.get("text_blocks"), list):
            await self._sender.wait_assistant_message([str(each) for each in data["text_blocks"]])
        elif kind == "error_message":
            self._sender.send_error_message(str(data.get("error")), data.get("metadata"))
        elif kind == "result_message":
            self.answer = as_answer({**(data.get("data") or {}), "metadata": data.get("metadata")})
        elif kind in ("text", "structured_output"):
            self.answer = as_answer(data)
        else:
            return False
        return True
