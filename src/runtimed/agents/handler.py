"""What an agent looks like to the runtime: a handler that is given an invocation and a sender.

    async def run(invocation, sender):
        sender.send_assistant_message(["Thinking..."])
        return TextResult(text=invocation.user_prompt.upper())

A handler is such a function, an object with such a method, or a class of such objects. It may
return an answer with metadata as `Answer`, or a dict as it would be on the wire.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import attrs

from runtimed.agents.messages import StructuredOutputResult, TextResult
from runtimed.errors import RuntimedError

__all__ = [
    "Answer",
    "AnyLogger",
    "BadAnswer",
    "Cancelled",
    "Handler",
    "Invocation",
    "Sender",
    "as_answer",
]

AnyLogger: TypeAlias = "logging.Logger | logging.LoggerAdapter[logging.Logger]"


class Cancelled(Protocol):
    """Set when the request is cancelled or its client is gone, just before the handler's scope
    is cancelled. Like trio.Event."""

    def is_set(self) -> bool: ...

    async def wait(self) -> None: ...


@attrs.frozen(kw_only=True)
class Invocation:
    """What a client asks of an agent.

    Shape: `output_format` is the parsed schema; `env` is the agent's environment, which the handler
    merges over its own.
    """

    system_prompt: str
    user_prompt: str
    model: str
    output_format: dict[str, Any] | None
    env: dict[str, str] | None
    secrets: list[str]
    cancelled: Cancelled
    logger: AnyLogger

    @property
    def signal(self) -> Cancelled:
        """Another name of `cancelled`."""
        return self.cancelled


class Sender(Protocol):
    """How a handler speaks before it answers."""

    def send_assistant_message(self, text_blocks: Sequence[str]) -> None:
        """Send one message; fails the request when far too much waits for a slow client."""

    async def wait_assistant_message(self, text_blocks: Sequence[str]) -> None:
        """Send one message once the client has read most of what was sent before."""

    def send_error_message(self, error: str, metadata: Mapping[str, Any] | None = None) -> None:
        """Decide that the request ends with this error, whatever the handler returns."""


class Handler(Protocol):
    """An agent."""

    @property
    def run(self) -> Any:
        """`async def run(invocation, sender)`, which gives the answer."""


class BadAnswer(RuntimedError):
    """A handler returned what is no answer."""


@attrs.frozen(kw_only=True)
class Answer:
    """An answer with what is to be said about it."""

    data: TextResult | StructuredOutputResult
    metadata: dict[str, Any] = attrs.field(factory=dict)


def as_answer(value: Any) -> Answer:
    """What a handler returned as an Answer. Raises: BadAnswer."""
    if isinstance(value, Answer):
        return value
    if isinstance(value, (TextResult, StructuredOutputResult)):
        return Answer(data=value)
    if not isinstance(value, Mapping):
        raise BadAnswer(f"The handler returned {type(value).__name__}, which is no answer")
    metadata = value.get("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise BadAnswer(f"The handler's metadata must be a dict, not {type(metadata).__name__}")
    try:
        if value.get("type") == "text":
            return Answer(data=TextResult(text=value["text"]), metadata=metadata)
        if value.get("type") == "structured_output":
            name = "structured_output" if "structured_output" in value else "structuredOutput"
            data = StructuredOutputResult(structured_output=value[name])
            return Answer(data=data, metadata=metadata)
    except KeyError as error:
        raise BadAnswer(f"The handler's answer has no {error.args[0]}") from None
    except ValueError as error:
        raise BadAnswer(f"The handler's answer: {error}") from None
    raise BadAnswer("The handler's answer needs a type, which is text or structured_output")
