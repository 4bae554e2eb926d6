"""One connection: the sans-I/O protocol object joined to a stream.

Reading belongs to one task and is never abandoned halfway, so a frame is never lost; writing is
bounded, so that a peer that stopped reading is noticed.
"""

from __future__ import annotations

from typing import Any

import trio

from runtimed.errors import RemoteProtocolError
from runtimed.protocol.connection import NEED_DATA, Connection, Role
from runtimed.sockets import write_at_once

__all__ = ["LAST_WORDS", "Link", "PeerStalled"]

_RECEIVE = 256 * 1024

#: Bytes written under one time limit, and the limit in seconds: a slow peer is fine, a stuck one
#: is not.
_PIECE = 256 * 1024
_STALL = 30.0

#: Seconds for a peer that is dropped to take what waits for it, and then the reason. Rather many:
#: while this process is held up by a busy machine, they pass for a peer that reads as well.
LAST_WORDS = 10.0


class PeerStalled(Exception):
    """The peer takes nothing any more."""


class Link:
    """The daemon's end of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.protocol = Connection(Role.DAEMON)
        self._between_frames = True  # whether all that was sent is complete frames

    async def next_event(self) -> Any:
        """The next event of the connection; events.Closed at its end.

        Raises: RemoteProtocolError for a fault of the peer.
        """
        while (event := self.protocol.next_event()) is NEED_DATA:
            try:
                data = await self._stream.receive_some(_RECEIVE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            self.protocol.receive_data(data)
        return event

    async def send(self, message: Any) -> None:
        await self.send_bytes(self.protocol.send(message))

    async def send_bytes(self, data: bytes) -> None:
        """Write complete frames.

        Raises: PeerStalled, trio.BrokenResourceError. Either ends the connection.
        """
        self._between_frames = False
        view = memoryview(data)
        for start in range(write_at_once(self._stream, view), len(view), _PIECE):
            with trio.move_on_after(_STALL) as patience:
                await self._stream.send_all(view[start : start + _PIECE])
            if patience.cancelled_caught:
                raise PeerStalled
        self._between_frames = True

    async def say_farewell(self, error: RemoteProtocolError) -> None:
        """Tell the peer what it did wrong, if it still listens. Nobody may be sending meanwhile."""
        if not self._between_frames:
            return  # it would be read as part of the frame that was given up
        with trio.move_on_after(LAST_WORDS):
            try:
                words = self.protocol.farewell(str(error))
                sent = write_at_once(self._stream, words)
                if sent < len(words):
                    await self._stream.send_all(words[sent:])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
