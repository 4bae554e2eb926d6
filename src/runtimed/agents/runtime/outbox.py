"""What waits to be written to one client, bounded by size.

Whoever can wait does (`put`); what can't (`put_nowait`) fails when far too much is waiting.
"""

from __future__ import annotations

from collections import deque

import trio

from runtimed.errors import RuntimedError

__all__ = ["ClientTooSlow", "Outbox"]

#: Above this, `put` waits. Small: what waits here is memory, and a client that reads takes it soon.
_ENOUGH = 1 << 20


class ClientTooSlow(RuntimedError):
    """A client does not read what is sent to it."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"The client reads too slowly: {waiting} characters wait to be sent")


class Outbox:
    """Messages in order. Units: characters, which are bytes for most of what is sent."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[str] = deque()
        self._closed = False
        self._changed = trio.Event()
        self._room = trio.Event()
        self.waiting = 0

    def put_nowait(self, message: str) -> None:
        """Raises: ClientTooSlow."""
        if self.waiting > self._limit:
            raise ClientTooSlow(self.waiting)
        self.put_always(message)

    def put_always(self, message: str) -> None:
        """For what is small and rare, and whose loss would leave a client hanging."""
        if not self._closed:
            self._messages.append(message)
            self.waiting += len(message)
            self._changed.set()

    async def put(self, message: str) -> None:
        """Wait until the client has read most of what was sent, then send this."""
        while self.waiting > _ENOUGH and not self._closed:
            await self._room.wait()
        self.put_always(message)

    def close(self) -> None:
        """Nothing comes any more; what waits is still taken."""
        self._closed = True
        self._changed.set()
        self._room.set()

    async def take(self) -> str | None:
        """The next message; None once it is closed and empty."""
        while not self._messages:
            if self._closed:
                return None
            self._changed = trio.Event()
            await self._changed.wait()
        message = self._messages.popleft()
        self.waiting -= len(message)
        if self.waiting <= _ENOUGH:
            self._room.set()
            self._room = trio.Event()
        return message
