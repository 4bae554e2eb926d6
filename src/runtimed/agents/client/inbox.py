"""What has arrived on a connection and waits to be looked at.

Bounded by bytes and not by messages, so that the socket is read on while a callback takes its time.
"""

from __future__ import annotations

from collections import deque

import trio

__all__ = ["INBOX_LIMIT", "Inbox"]

#: Bytes that may wait before the socket is left alone. A single message may be larger.
INBOX_LIMIT = 64 * 2**20

#: After so many messages other tasks get their turn, however many wait. A turn of the loop for each
#: would cost more than most of them.
_TURN = 50


class Inbox:
    """Messages in the order of their arrival, and then the end of the connection."""

    def __init__(self, limit: int = INBOX_LIMIT) -> None:
        self._limit = limit
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._taken = 0
        self._ended = False
        self._error: Exception | None = None
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    @property
    def is_full(self) -> bool:
        """Whether whoever fills it has to wait."""
        return self._size >= self._limit

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self._messages)

    async def put(self, message: str | bytes) -> None:
        """Add a message. Waits while too much is waiting already."""
        while self.is_full and not self._ended:
            await self._writers.park()
        self._messages.append(message)
        self._size += len(message)
        self._readers.unpark()

    def end(self, error: Exception | None) -> None:
        """Nothing more comes: in order, or because of an error. Only the first end counts."""
        if not self._ended:
            self._ended = True
            self._error = error
        self._readers.unpark_all()
        self._writers.unpark_all()

    async def get(self) -> str | bytes | None:
        """Wait for the next message; None at an end in order.

        Raises: the error of an end that was none in order, once all messages have been taken.
        """
        self._taken += 1
        if self._taken % _TURN:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        while not self._messages:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            await self._readers.park()
        message = self._messages.popleft()
        self._size -= len(message)
        if not self.is_full:
            self._writers.unpark()
        return message
