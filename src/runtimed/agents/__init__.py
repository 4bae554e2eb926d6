"""Agents in a sandbox: a client that drives them from outside, and the runtime they live in.

`RuntimeUseClient` sends prompts and commands over a WebSocket; `RuntimeUseServer` takes them inside
the sandbox and hands them to an agent's handler. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtimed.agents.errors import AgentRuntimeError, CancelledException
    from runtimed.agents.messages import (
        AgentRuntimeMessageInterface,
        ArtifactUploadRequestMessageInterface,
        ArtifactUploadResponseMessageInterface,
        ArtifactUploadResult,
        AssistantMessageInterface,
        CancelMessage,
        CommandExecutionMessage,
        CommandExecutionResult,
        CommandExecutionResultMessageInterface,
        CommandInterface,
        CommandOutputMessageInterface,
        CommandResultItem,
        EndSessionConfirmMessage,
        EndSessionMessage,
        ErrorMessageInterface,
        HeartbeatMessageInterface,
        InvocationMessage,
        QueryResult,
        ResultMessageInterface,
        RuntimeEnvironmentDownloadableInterface,
        StructuredOutputResult,
        TextResult,
    )

__all__ = [
    "AgentRuntimeError",
    "AgentRuntimeMessageInterface",
    "ArtifactUploadRequestMessageInterface",
    "ArtifactUploadResponseMessageInterface",
    "ArtifactUploadResult",
    "AssistantMessageInterface",
    "CancelMessage",
    "CancelledException",
    "CommandExecutionMessage",
    "CommandExecutionResult",
    "CommandExecutionResultMessageInterface",
    "CommandInterface",
    "CommandOutputMessageInterface",
    "CommandResultItem",
    "EndSessionConfirmMessage",
    "EndSessionMessage",
    "ErrorMessageInterface",
    "HeartbeatMessageInterface",
    "InvocationMessage",
    "QueryResult",
    "ResultMessageInterface",
    "RuntimeEnvironmentDownloadableInterface",
    "StructuredOutputResult",
    "TextResult",
]

#: Names that do not live in `messages`, where all the others do.
_HOMES = {
    "AgentRuntimeError": "runtimed.agents.errors",
    "CancelledException": "runtimed.agents.errors",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES.get(name, "runtimed.agents.messages")), name)
    globals()[name] = value  # from now on an ordinary attribute
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
