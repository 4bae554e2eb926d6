"""What a room knows of one connection.

A peer is never sent anything from here: it is marked behind, or frames are put in its outbox, and
the writer of its connection takes both when its socket can. A peer that does not read costs one
flag and a bounded outbox.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import trio

from runtimed.document.notebook import SyncPeer

__all__ = ["OUTBOX_BYTES", "OUTBOX_FRAMES", "Peer"]

#: Bounds of what waits for a peer; beyond either the peer is dropped.
OUTBOX_BYTES = 64 * 1024 * 1024
OUTBOX_FRAMES = 20_000


class Peer:
    """One connection to a room."""

    def __init__(self, sync: SyncPeer) -> None:
        self.id = str(uuid.uuid4())
        self.sync = sync
        self.behind = True
        self._outbox: list[bytes] = []
        self._size = 0
        self._work = trio.Event()
        self._work.set()
        self.overrun = False
        self.dismissed: str | None = None

    def __repr__(self) -> str:
        return f"<Peer {self.id[:8]} outbox={len(self._outbox)} behind={self.behind}>"

    def mark_behind(self) -> None:
        """The document has changed, or a message of the peer wants its answer."""
        self.behind = True
        self._work.set()

    def post(self, frames: Iterable[bytes]) -> None:
        """Put complete frames in the outbox. A peer that lets too many wait is dropped."""
        for frame in frames:
            self._outbox.append(frame)
            self._size += len(frame)
        if self._size > OUTBOX_BYTES or len(self._outbox) > OUTBOX_FRAMES:
            self.overrun = True
            self._outbox.clear()
        self._work.set()

    def dismiss(self, reason: str) -> None:
        """The room is gone: the connection is to end, and this is what the peer is told."""
        self.dismissed = reason
        self._work.set()

    async def wait_work(self) -> None:
        """Wait until there is something to write, or the peer is to be dropped."""
        await self._work.wait()

    def take(self) -> list[bytes]:
        """The frames that wait, oldest first. The sync message, if the peer is behind, goes first."""
        frames, self._outbox, self._size = self._outbox, [], 0
        self._work = trio.Event()
        return frames
