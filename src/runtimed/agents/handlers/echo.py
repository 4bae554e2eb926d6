"""The agent that says what it is told: for tests, for demonstrations, for trying out a connection.

Each line of the prompt is an assistant message, and the prompt is the answer. Asked for structured
output, it answers with the prompt's JSON object, or with the prompt in one.
"""

from __future__ import annotations

from typing import Any

from runtimed.agents.handler import Answer, Invocation, Sender
from runtimed.agents.messages import StructuredOutputResult, TextResult, decode

__all__ = ["Echo"]


class Echo:
    """Says what it is told."""

    async def run(self, invocation: Invocation, sender: Sender) -> Answer:
        for line in invocation.user_prompt.splitlines():
            await sender.wait_assistant_message([line])
        metadata: dict[str, Any] = {"model": invocation.model}
        if invocation.output_format is None:
            return Answer(data=TextResult(text=invocation.user_prompt), metadata=metadata)
        try:
            output = decode(invocation.user_prompt)
        except ValueError:
            output = None
        if not isinstance(output, dict):
            output = {"prompt": invocation.user_prompt}
        return Answer(data=StructuredOutputResult(structured_output=output), metadata=metadata)
