"""Agents in a sandbox: a client that drives them from outside, and the runtime they live in.

`RuntimeUseClient` sends prompts and commands over a WebSocket; `RuntimeUseServer` takes them inside
the sandbox and hands them to an agent's handler. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtimed.agents.client.client import (
        RuntimeUseClient,
    )
    from runtimed.agents.client.failures import (
        AgentCallTimedOut,
        AgentConnectionLost,
        AgentUnreachable,
    )
    from runtimed.agents.client.options import (
        ExecuteCommandsOptions,
        OnArtifactUploadRequestCallback,
        OnAssistantMessageCallback,
        OnCommandOutputCallback,
        QueryOptions,
    )
    from runtimed.agents.client.session import (
        RuntimeUseSession,
    )
    from runtimed.agents.client.transports import (
        ConnectedTransport,
        PersistentTransport,
        Transport,
    )
    from runtimed.agents.client.websocket import (
        ConnectedWebSocketTransport,
        WebSocketTransport,
    )
    from runtimed.agents.errors import AgentRuntimeError, CancelledException
    from runtimed.agents.handler import Answer, Handler, Invocation, Sender
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
    from runtimed.agents.runtime.connection import RuntimeConnection
    from runtimed.agents.runtime.server import RuntimeUseServer
    from runtimed.agents.runtime.settings import RuntimeSettings

__all__ = [
    "AgentCallTimedOut",
    "AgentConnectionLost",
    "AgentRuntimeError",
    "AgentRuntimeMessageInterface",
    "AgentUnreachable",
    "Answer",
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
    "ConnectedTransport",
    "ConnectedWebSocketTransport",
    "EndSessionConfirmMessage",
    "EndSessionMessage",
    "ErrorMessageInterface",
    "ExecuteCommandsOptions",
    "Handler",
    "HeartbeatMessageInterface",
    "Invocation",
    "InvocationMessage",
    "OnArtifactUploadRequestCallback",
    "OnAssistantMessageCallback",
    "OnCommandOutputCallback",
    "PersistentTransport",
    "QueryOptions",
    "QueryResult",
    "ResultMessageInterface",
    "RuntimeConnection",
    "RuntimeEnvironmentDownloadableInterface",
    "RuntimeSettings",
    "RuntimeUseClient",
    "RuntimeUseServer",
    "RuntimeUseSession",
    "Sender",
    "StructuredOutputResult",
    "TextResult",
    "Transport",
    "WebSocketTransport",
]

#: Names that do not live in `messages`, where all the others do.
_HOMES = {
    "AgentCallTimedOut": "runtimed.agents.client.failures",
    "AgentConnectionLost": "runtimed.agents.client.failures",
    "AgentRuntimeError": "runtimed.agents.errors",
    "AgentUnreachable": "runtimed.agents.client.failures",
    "Answer": "runtimed.agents.handler",
    "CancelledException": "runtimed.agents.errors",
    "ConnectedTransport": "runtimed.agents.client.transports",
    "ConnectedWebSocketTransport": "runtimed.agents.client.websocket",
    "ExecuteCommandsOptions": "runtimed.agents.client.options",
    "Handler": "runtimed.agents.handler",
    "Invocation": "runtimed.agents.handler",
    "OnArtifactUploadRequestCallback": "runtimed.agents.client.options",
    "OnAssistantMessageCallback": "runtimed.agents.client.options",
    "OnCommandOutputCallback": "runtimed.agents.client.options",
    "PersistentTransport": "runtimed.agents.client.transports",
    "QueryOptions": "runtimed.agents.client.options",
    "RuntimeConnection": "runtimed.agents.runtime.connection",
    "RuntimeSettings": "runtimed.agents.runtime.settings",
    "RuntimeUseClient": "runtimed.agents.client.client",
    "RuntimeUseServer": "runtimed.agents.runtime.server",
    "RuntimeUseSession": "runtimed.agents.client.session",
    "Sender": "runtimed.agents.handler",
    "Transport": "runtimed.agents.client.transports",
    "WebSocketTransport": "runtimed.agents.client.websocket",
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
