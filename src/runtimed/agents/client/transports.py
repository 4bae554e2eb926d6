"""How a client reaches a runtime: what a transport is, for those who bring their own.

`WebSocketTransport`, in a module of its own, is the usual one. A transport carries JSON objects and
knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, runtime_checkable

import trio

__all__ = ["ConnectedTransport", "Message", "PersistentTransport", "Transport"]

#: A message as a JSON object.
Message: TypeAlias = dict[str, Any]


class Transport(Protocol):
    """Carries one request: called with what goes out, it generates what comes in."""

    def __call__(self, outgoing: trio.MemoryReceiveChannel[Message], /) -> AsyncGenerator[Message]:
        """Generate the messages of the runtime.

        The connection is opened by the first step, closed when the generator is, and ends it. All
        steps are made by one task, on Trio. Raises: OSError if there is no connection to be had.
        """
        ...


class ConnectedTransport(Protocol):
    """An open connection, for one request after another."""

    def request(self, outgoing: trio.MemoryReceiveChannel[Message], /) -> AsyncGenerator[Message]:
        """Generate the messages of the runtime while what is outgoing goes out.

        Closing the generator leaves the connection open. What has been put into the channel is sent
        even then, and before anything of a later request.
        """
        ...

    async def end_session(
        self,
        on_message: Callable[[Message], Awaitable[Message | None]],
        timeout_s: float = 60,
    ) -> None:
        """Ask for the end of the session, and wait until the runtime has confirmed it or closed.

        What `on_message` gives for a message that comes meanwhile is sent as its answer.
        """
        ...

    async def close(self) -> None:
        """Close the connection. Nothing happens when it is closed."""
        ...


@runtime_checkable
class PersistentTransport(Protocol):
    """A transport that can hold a connection for a session."""

    def connect(self) -> AbstractAsyncContextManager[ConnectedTransport]:
        """Open a connection, which is closed with the context.

        Raises: OSError if there is none to be had.
        """
        ...
