"""The presence of a room's peers: what one says goes to the others, and to who joins later.

Presence rides along. Nothing here wakes a writer at once, and what a peer has not been sent yet is
replaced by newer (see `Peer.post_presence`).
"""

from __future__ import annotations

import logging
from collections.abc import Set
from typing import NoReturn

import trio

from runtimed.errors import RemoteProtocolError
from runtimed.protocol.frames import FrameKind, encode_typed
from runtimed.protocol.presence import (
    DAEMON_ID,
    ChannelData,
    Heartbeat,
    KernelState,
    Left,
    Update,
    channel_of,
    decode,
    encode,
)
from runtimed.rooms.peer import Peer
from runtimed.rooms.presence_table import HEARTBEAT, PresenceTable

__all__ = ["RoomPresence"]

log = logging.getLogger(__name__)

#: A kernel that has ended is still spoken of together with its environment.
_ENDED = ("shutdown", "errored")


class RoomPresence:
    """Who is where in one room; `peers` are those connected now."""

    def __init__(self, peers: Set[Peer]) -> None:
        self._peers = peers
        self._table = PresenceTable()

    def receive(self, peer: Peer, body: bytes) -> None:
        """Take in a peer's presence. What makes no sense is ignored; it hurts nobody."""
        try:
            message = decode(body)
        except RemoteProtocolError as error:
            self._complain(peer, str(error))
            return
        now = trio.current_time()
        if isinstance(message, Heartbeat):
            self._table.seen([peer.id], now)
        elif isinstance(message, Update):
            self._update(peer, message, now)

    def _update(self, peer: Peer, update: Update, now: float) -> None:
        first = peer.id not in self._table
        told = self._table.update(peer.id, update, now)
        if told is None:
            self._complain(peer, "not for a peer to say, or too much for others to hear")
            return
        self._tell(peer.id, update.data, told)
        if first:
            peer.owe_snapshot()  # one that ignores presence until its document is here needs it now

    def _tell(self, about: str, data: ChannelData, body: bytes) -> None:
        frame = encode_typed(FrameKind.PRESENCE, body)
        for other in self._peers:
            if other.id != about:
                other.post_presence(about, channel_of(data), frame)

    def kernel_state(self, status: str, env_source: str | None) -> None:
        """The kernel's state is this. Without news nothing happens."""
        if status.startswith("error"):  # a failed launch says its reason behind it
            status = "errored"
        if env_source is None:
            env_source = self._table.kernel.env_source if status in _ENDED else ""
        state = KernelState(status, env_source)
        if (body := self._table.set_kernel(state)) is not None:
            self._tell(DAEMON_ID, state, body)

    def left(self, peer: Peer) -> None:
        """A peer's connection has ended."""
        if self._table.remove(peer.id):
            self._tell_left(peer.id)

    def _tell_left(self, peer_id: str) -> None:
        frame = encode_typed(FrameKind.PRESENCE, encode(Left(peer_id)))
        for other in self._peers:
            other.post_departure(peer_id, frame)

    def take(self, peer: Peer) -> list[bytes]:
        """The frames that tell a peer what it has not been told yet."""
        return peer.take_presence(
            lambda: [
                encode_typed(FrameKind.PRESENCE, body) for body in self._table.snapshot(peer.id)
            ]
        )

    async def run(self) -> NoReturn:
        """Keep connected peers from expiring, and let others expire. Runs until cancelled."""
        while True:
            await trio.sleep(HEARTBEAT)
            now = trio.current_time()
            self._table.seen([peer.id for peer in self._peers], now)
            for peer_id in self._table.expire(now):
                self._tell_left(peer_id)

    def _complain(self, peer: Peer, reason: str) -> None:
        if not peer.presence_faulty:  # once is enough: such frames can come by the thousand
            peer.presence_faulty = True
            log.info("presence ignored reason=%s", reason)
