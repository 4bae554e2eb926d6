"""Who is where in one room, and how that is told to somebody who knows nothing of it.

Pure: owns no timer, the caller passes the time in seconds; knows peers by their ids alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from runtimed.errors import LocalProtocolError
from runtimed.protocol.presence import (
    DAEMON_ID,
    MAX_BODY,
    ChannelData,
    KernelState,
    PeerState,
    Snapshot,
    Update,
    channel_of,
    clean_label,
    encode,
    snapshot_size,
)

__all__ = ["HEARTBEAT", "TIME_TO_LIVE", "PresenceTable"]

#: Seconds between two refreshes of connected peers, and after which one not refreshed is gone.
HEARTBEAT = 15.0
TIME_TO_LIVE = 45.0

#: Bytes: what a snapshot of one value needs more than the update that says the same, at most, and
#: what the head of a long list of peers needs more than that of an empty one.
_SNAPSHOT_EXTRA = 40
_LIST_EXTRA = 4


@attrs.define
class _Entry:
    label: str
    last_seen: float
    channels: dict[str, ChannelData] = attrs.field(factory=dict)


class PresenceTable:
    """The latest value of every peer on every channel, and the kernel's state."""

    def __init__(self) -> None:
        self.kernel = KernelState("not_started", "")
        self._entries: dict[str, _Entry] = {}

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._entries

    def update(self, peer_id: str, update: Update, now: float) -> bytes | None:
        """Take in what a peer says of itself; the body that tells others, under its real id.

        None for what a peer can't say, or what would not fit into a snapshot later on.
        """
        if isinstance(update.data, KernelState):
            return None
        label = clean_label(update.label)
        try:
            body = encode(Update(peer_id, update.data, label))
        except LocalProtocolError:  # only with the real id and label it became too large
            return None
        if len(body) + _SNAPSHOT_EXTRA > MAX_BODY:
            return None
        entry = self._entries.setdefault(peer_id, _Entry(label, now))
        entry.label = label
        entry.last_seen = now
        entry.channels[channel_of(update.data)] = update.data
        return body

    def set_kernel(self, state: KernelState) -> bytes | None:
        """Note what the kernel does; the body that tells it, None if it is no news.

        The kernel's state is no peer's: it never expires and never leaves.
        """
        if state == self.kernel:
            return None
        self.kernel = state
        return encode(Update(DAEMON_ID, state, DAEMON_ID))

    def seen(self, peer_ids: Iterable[str], now: float) -> None:
        """These peers are still there. Nobody gets into the table by that."""
        for peer_id in peer_ids:
            if (entry := self._entries.get(peer_id)) is not None:
                entry.last_seen = now

    def remove(self, peer_id: str) -> bool:
        """Forget a peer that has gone; False if it never said anything."""
        return self._entries.pop(peer_id, None) is not None

    def expire(self, now: float) -> list[str]:
        """Forget the peers that have not been seen for their time to live; their ids."""
        gone = [
            peer_id
            for peer_id, entry in self._entries.items()
            if now - entry.last_seen > TIME_TO_LIVE
        ]
        for peer_id in gone:
            del self._entries[peer_id]
        return gone

    def snapshot(self, receiver: str) -> list[bytes]:
        """The bodies that tell `receiver` of everybody else and of the kernel.

        A snapshot replaces the peers it lists and leaves the others alone, so one that is too large
        is cut between peers. A single peer too large for one body is listed with what fits, and
        updates say the rest.
        """
        bodies: list[bytes] = []
        batch: list[PeerState] = []
        size = empty = snapshot_size([]) + _LIST_EXTRA
        for state in self._others(receiver):
            listed, rest = _fitting(state)
            cost = snapshot_size([listed]) + _LIST_EXTRA - empty
            if batch and size + cost > MAX_BODY:
                bodies.append(encode(Snapshot(DAEMON_ID, batch)))
                batch, size = [], empty
            batch.append(listed)
            size += cost
            if rest:
                bodies.append(encode(Snapshot(DAEMON_ID, batch)))
                bodies += [encode(Update(state.peer_id, data, state.label)) for data in rest]
                batch, size = [], empty
        if batch:
            bodies.append(encode(Snapshot(DAEMON_ID, batch)))
        return bodies

    def _others(self, receiver: str) -> Iterator[PeerState]:
        yield PeerState(DAEMON_ID, DAEMON_ID, [self.kernel])
        for peer_id, entry in self._entries.items():
            if peer_id != receiver:
                yield PeerState(peer_id, entry.label, entry.channels.values())


def _fitting(state: PeerState) -> tuple[PeerState, Sequence[ChannelData]]:
    """A peer with as many of its values as fit into one snapshot, and the other values."""
    channels = state.channels
    for count in range(len(channels), 1, -1):
        listed = attrs.evolve(state, channels=channels[:count])
        if snapshot_size([listed]) + _LIST_EXTRA <= MAX_BODY:
            return listed, channels[count:]
    return attrs.evolve(state, channels=channels[:1]), channels[1:]
