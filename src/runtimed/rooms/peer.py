"""What a room knows of one connection.

A peer is never sent anything from here: it is marked behind, or frames are put in its outbox, and
the writer of its connection takes both when its socket can. A peer that does not read costs one
flag and a bounded outbox.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

import trio

from runtimed.document.notebook import SyncPeer

__all__ = ["COMM_BYTES", "COMM_FRAMES", "OUTBOX_BYTES", "OUTBOX_FRAMES", "Peer"]

#: Bounds of what waits for a peer; beyond either the peer is dropped.
OUTBOX_BYTES = 64 * 1024 * 1024
OUTBOX_FRAMES = 20_000

#: Bounds of the widget messages in it; beyond either they are dropped, and the peer gets the
#: widgets as they are once it reads again.
COMM_BYTES = 32 * 1024 * 1024
COMM_FRAMES = 10_000

#: Seconds within which a peer's changes are acknowledged, if nothing else is sent before.
_ANSWER_WITHIN = 0.05

#: Seconds within which something that announces more is written, if that does not come before.
_FOLLOWED_WITHIN = 0.012

#: Seconds within which presence is written, if nothing else is sent before.
_PRESENCE_WITHIN = 0.02

_LEFT = "left"

#: Bytes of a sync message that are kept for the heads it begins with: some sixty of them.
_ANNOUNCEMENT = 2048


class Peer:
    """One connection to a room."""

    def __init__(self, sync: SyncPeer, epoch: int = 0) -> None:
        self.id = str(uuid.uuid4())
        self.sync = sync
        # See epochs.py. The epoch of `sync`, that of the heads which the peer's requests name, and
        # what has all its edits of earlier ones.
        self.follows_epochs = False
        self.epoch = self.writes_in = epoch
        self.moved: tuple[str, ...] = ()
        self.announced_in = b""
        self.behind = True
        self.comms_behind = False
        self._outbox: list[bytes] = []
        self._size = 0
        self._comm_frames: list[int] = []  # where in the outbox they are
        self._comm_size = 0
        self._work = trio.Event()
        self._work.set()
        self._patience = trio.CancelScope()
        self.overrun = False
        self.dismissed: str | None = None
        self.farewell: str | None = None
        self.presence_faulty = False
        self._presence: dict[tuple[str, str], bytes] = {}
        self._snapshot_due = True

    def __repr__(self) -> str:
        return f"<Peer {self.id[:8]} outbox={len(self._outbox)} behind={self.behind}>"

    def announced(self, message: bytes) -> None:
        """A sync message of the peer has been taken in; it begins with the heads of its sender."""
        self.announced_in = message[:_ANNOUNCEMENT]

    def follow(self, epoch: int, sync: SyncPeer) -> None:
        """The peer is ready for the document of a new epoch."""
        self.epoch, self.sync, self.announced_in = epoch, sync, b""
        self.mark_behind()

    def edits_moved(self, epoch: int, heads: tuple[str, ...]) -> None:
        """A document with these heads has all that the peer had edited before this epoch."""
        self.writes_in, self.moved = epoch, heads

    def mark_behind(self) -> None:
        """The document has changed, or a message of the peer wants its answer at once."""
        self.behind = True
        self._work.set()

    def owe_answer(self) -> None:
        """The peer sent changes. What it is owed is no news, and may travel with some."""
        self.behind = True
        self._write_by(trio.current_time() + _ANSWER_WITHIN)

    def _write_by(self, due: float) -> None:
        if due < self._patience.deadline:
            self._patience.deadline = due

    def post(self, frames: Iterable[bytes]) -> None:
        """Put complete frames in the outbox. A peer that lets too many wait is dropped.

        One that is large by itself is no fault of the peer: what counts is what waits behind it.
        """
        waited = self._size
        for frame in frames:
            self._outbox.append(frame)
            self._size += len(frame)
        if waited > OUTBOX_BYTES or len(self._outbox) > OUTBOX_FRAMES:
            self.overrun = True
            self._outbox.clear()
            self._comm_frames, self._comm_size = [], 0
        self._work.set()

    def post_sync(self, frame: bytes) -> None:
        """Put a sync message before all that waits and may be news of what it brings.

        It counts against no bound, as one that is made when it can be sent would not.
        """
        self._outbox.insert(0, frame)
        self._comm_frames = [index + 1 for index in self._comm_frames]
        self._work.set()

    def post_first(self, frames: Iterable[bytes]) -> None:
        """Put the state of a room in the outbox of a peer that has just joined.

        It counts against no bound: it is as large as it is, and there is only one of it.
        """
        self._outbox += frames
        self._work.set()

    def post_comm(self, frame: bytes) -> None:
        """Post a widget message. A peer that lets too many wait gets the state instead of them.

        What is lost then is messages that are no state, such as strokes on a canvas.
        """
        self._work.set()
        if self.comms_behind:
            return
        size = self._comm_size + len(frame)
        if self._comm_frames and (size > COMM_BYTES or len(self._comm_frames) >= COMM_FRAMES):
            for index in self._comm_frames:
                self._outbox[index] = b""
            self._size -= self._comm_size
            self._comm_frames, self._comm_size = [], 0
            self.comms_behind = True
            return
        self._comm_frames.append(len(self._outbox))
        self._comm_size = size
        self.post((frame,))

    def post_soon(self, frame: bytes) -> None:
        """Post a frame that need not wake the peer at once: more is about to follow it."""
        waiting = self._work.is_set()
        self._outbox.append(frame)
        self._size += len(frame)
        if not waiting:
            self._write_by(trio.current_time() + _FOLLOWED_WITHIN)

    def post_presence(self, about: str, channel: str, frame: bytes) -> None:
        """Post what is new of another peer on one of its channels.

        It travels with whatever is written next. What still waits of that peer and channel is
        dropped, since only the latest is of use: a peer that does not read keeps one frame for
        each, however much others move.
        """
        # Taken out first, so that the order is that of the latest news.
        self._presence.pop((about, channel), None)
        self._presence[about, channel] = frame
        self._write_by(trio.current_time() + _PRESENCE_WITHIN)

    def post_departure(self, about: str, frame: bytes) -> None:
        """Post that another peer has gone; what waits of it is dropped."""
        for key in [key for key in self._presence if key[0] == about]:
            del self._presence[key]
        self.post_presence(about, _LEFT, frame)

    def owe_snapshot(self) -> None:
        """The peer is to be told of everybody, as they are when that is written."""
        self._snapshot_due = True
        self._write_by(trio.current_time() + _PRESENCE_WITHIN)

    @property
    def presence_waits(self) -> bool:
        return self._snapshot_due or bool(self._presence)

    def take_presence(self, snapshot: Callable[[], Iterable[bytes]]) -> list[bytes]:
        """The presence frames that wait. `snapshot` makes those that tell of everybody."""
        waiting, self._presence = self._presence, {}
        if not self._snapshot_due:
            return list(waiting.values())
        self._snapshot_due = False
        # It says all that waits, except who is not in it any more.
        left = [frame for (_, channel), frame in waiting.items() if channel == _LEFT]
        return [*left, *snapshot()]

    def dismiss(self, reason: str, *, tell: bool = False) -> None:
        """The connection is to end, for this reason; `tell` it to the peer as an error."""
        self.dismissed = reason
        self.farewell = reason if tell else None
        self._work.set()

    async def wait_work(self) -> None:
        """Wait until there is something to write, or the peer is to be dropped."""
        with self._patience:
            await self._work.wait()

    def take(self) -> list[bytes]:
        """The frames that wait, oldest first. A sync message that is due goes before them."""
        frames, self._outbox, self._size = self._outbox, [], 0
        self._comm_frames, self._comm_size = [], 0
        self._work = trio.Event()
        self._patience = trio.CancelScope()
        return frames
