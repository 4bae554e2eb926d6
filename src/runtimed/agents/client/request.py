"""What a client asks a runtime for, and what answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from runtimed.agents.client.options import ExecuteCommandsOptions, Options, QueryOptions
from runtimed.agents.messages import (
    AgentRuntimeMessageInterface,
    CommandExecutionMessage,
    CommandExecutionResultMessageInterface,
    CommandInterface,
    InvocationMessage,
    ResultMessageInterface,
)

__all__ = ["R", "Request", "as_commands", "as_query"]

R = TypeVar("R", bound=AgentRuntimeMessageInterface)


@attrs.frozen
class Request(Generic[R]):
    """A message, what its caller wants to hear meanwhile, and the kind of its answer."""

    message: InvocationMessage | CommandExecutionMessage
    options: Options
    answer: type[R]
    cancelled: str  # what is said when its caller aborts it

    @property
    def goes_on(self) -> bool:
        """Whether something may come behind the result: files, errors of post-agent commands."""
        post = getattr(self.message, "post_agent_invocation_commands", None)
        return bool(self.options.folders or post)


def as_query(prompt: str, options: QueryOptions) -> Request[ResultMessageInterface]:
    """Raises: ValueError or TypeError for wrong arguments."""
    if not isinstance(options, QueryOptions):
        raise TypeError(f"options must be QueryOptions, not {type(options).__name__}")
    return Request(options.message(prompt), options, ResultMessageInterface, "Query was cancelled")


def as_commands(
    commands: Sequence[CommandInterface], options: ExecuteCommandsOptions | None
) -> Request[CommandExecutionResultMessageInterface]:
    """Raises: ValueError or TypeError for wrong arguments."""
    options = ExecuteCommandsOptions() if options is None else options
    if not isinstance(options, ExecuteCommandsOptions):
        raise TypeError(f"options must be ExecuteCommandsOptions, not {type(options).__name__}")
    return Request(
        options.message(commands),
        options,
        CommandExecutionResultMessageInterface,
        "Command execution was cancelled",
    )
