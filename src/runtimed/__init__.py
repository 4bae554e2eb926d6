"""Notebook runtimes that outlive every window: the client of the runtimed daemon.

`Session` is for ordinary programs, `AsyncSession` for asynchronous ones on Trio or asyncio,
`DaemonClient` asks the daemon about itself. Names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtimed.client.async_session import AsyncSession
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.client.notebook_app import show_notebook_app
    from runtimed.client.preparing import EnvironmentProgress
    from runtimed.client.results import (
        Cell,
        Comm,
        CompletionItem,
        CompletionResult,
        ExecutionEvent,
        ExecutionResult,
        HistoryEntry,
        InputRequest,
        NotebookConnectionInfo,
        Output,
        QueueState,
        SimilarName,
        SyncEnvironmentResult,
        TrustInfo,
    )
    from runtimed.client.session import Session
    from runtimed.client.streams import (
        EventIteratorSubscription,
        EventSubscription,
        ExecutionEventIterator,
        ExecutionEventStream,
    )
    from runtimed.errors import RuntimedError
    from runtimed.paths import default_socket_path

__version__ = "0.1.0"  # here and not read from the metadata, which costs 20 ms at each start

__all__ = [
    "AsyncSession",
    "Cell",
    "Comm",
    "CompletionItem",
    "CompletionResult",
    "DaemonClient",
    "EnvironmentProgress",
    "EventIteratorSubscription",
    "EventSubscription",
    "ExecutionEvent",
    "ExecutionEventIterator",
    "ExecutionEventStream",
    "ExecutionResult",
    "HistoryEntry",
    "InputRequest",
    "NotebookConnectionInfo",
    "Output",
    "QueueState",
    "RuntimedError",
    "Session",
    "SimilarName",
    "SyncEnvironmentResult",
    "TrustInfo",
    "default_socket_path",
    "show_notebook_app",
]

_HOMES = {
    "AsyncSession": "runtimed.client.async_session",
    "Cell": "runtimed.client.results",
    "Comm": "runtimed.client.results",
    "CompletionItem": "runtimed.client.results",
    "CompletionResult": "runtimed.client.results",
    "DaemonClient": "runtimed.client.daemon_client",
    "EnvironmentProgress": "runtimed.client.preparing",
    "EventIteratorSubscription": "runtimed.client.streams",
    "EventSubscription": "runtimed.client.streams",
    "ExecutionEvent": "runtimed.client.results",
    "ExecutionEventIterator": "runtimed.client.streams",
    "ExecutionEventStream": "runtimed.client.streams",
    "ExecutionResult": "runtimed.client.results",
    "HistoryEntry": "runtimed.client.results",
    "InputRequest": "runtimed.client.results",
    "NotebookConnectionInfo": "runtimed.client.results",
    "Output": "runtimed.client.results",
    "QueueState": "runtimed.client.results",
    "RuntimedError": "runtimed.errors",
    "Session": "runtimed.client.session",
    "SimilarName": "runtimed.client.results",
    "SyncEnvironmentResult": "runtimed.client.results",
    "TrustInfo": "runtimed.client.results",
    "default_socket_path": "runtimed.paths",
    "show_notebook_app": "runtimed.client.notebook_app",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # from now on an ordinary attribute
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
