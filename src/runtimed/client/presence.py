"""Presence as a client has it: what it says of itself, and what it has heard of others.

Bodies come out and go in; who carries them is not known here. Places are counted in characters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol.presence import (
    DAEMON_ID,
    NO_LABEL,
    ChannelData,
    Cursor,
    Custom,
    Left,
    PeerState,
    Selection,
    Snapshot,
    Update,
    channel_of,
    clean_label,
    decode,
    encode,
)

__all__ = ["Announcer", "RemotePeers"]

log = logging.getLogger(__name__)


class Announcer:
    """What this client says of itself. `source` reads the text of a cell.

    Begins with saying that it is there: an empty `custom` value, the one thing that every peer can
    read and none will show. Only the latest value of each channel is kept until it is taken.
    """

    def __init__(self, label: str | None, source: Callable[[str], str]) -> None:
        self._label = None if label is None else clean_label(label)
        self._source = source
        self._said: dict[str, ChannelData] = {}
        self._waiting: dict[str, ChannelData] = {"custom": Custom(())}
        self._end: Cursor | None = None  # of the cell that was written to last

    def say(self, data: Cursor | Selection) -> None:
        """Set the cursor or the selection.

        Raises: LocalProtocolError if it can't be sent.
        """
        self._body(data)
        self._announce(data)

    def place(self, cell_id: str, line: int = 0, column: int = 0) -> None:
        """Let the cursor follow an edit, as far as that can be said."""
        self._announce(Cursor(cell_id, line, column))

    def replaced(self, cell_id: str, source: str) -> None:
        """Let the cursor follow a new text, to its end."""
        self._end = _end(Cursor(cell_id, 0, 0), source)
        self._announce(self._end)

    def appended(self, cell_id: str, text: str) -> None:
        """Let the cursor follow text that was added at the end.

        Cost: that of what was added, as long as nobody else writes to the cell.
        """
        if self._end is not None and self._end.cell_id == cell_id:
            self._end = _end(self._end, text)
        else:
            self._end = _end(Cursor(cell_id, 0, 0), self._source(cell_id))
        self._announce(self._end)

    def touched(self, cell_ids: Iterable[str]) -> None:
        """Others have changed these cells."""
        if self._end is not None and self._end.cell_id in cell_ids:
            self._end = None

    def take(self) -> list[bytes]:
        """The bodies that are to be sent now: what is new on each channel."""
        if not self._waiting:
            return []
        waiting, self._waiting = self._waiting, {}
        bodies: list[bytes] = []
        for channel, data in waiting.items():
            try:
                bodies.append(self._body(data))
            except LocalProtocolError as error:  # a cell id of kilobytes; nobody has to know
                log.debug("not announced error=%r", str(error))
            self._said[channel] = data
        return bodies

    def _announce(self, data: Cursor | Selection) -> None:
        channel = channel_of(data)
        if self._said.get(channel) == data:
            self._waiting.pop(channel, None)  # back where everybody believes it to be
        else:
            self._waiting[channel] = data

    def _body(self, data: ChannelData) -> bytes:
        # The daemon knows who this is; an id that a client gives itself is ignored.
        return encode(Update("", data, self._label))


def _end(start: Cursor, text: str) -> Cursor:
    """Where a cursor stands that began at `start` and has written `text`."""
    lines = text.count("\n")
    if not lines:
        return Cursor(start.cell_id, start.line, start.column + len(text))
    return Cursor(start.cell_id, start.line + lines, len(text) - text.rfind("\n") - 1)


class RemotePeers:
    """The other peers of a room, as far as they have said anything. The daemon is none."""

    def __init__(self) -> None:
        self._peers: dict[str, tuple[str, dict[str, ChannelData]]] = {}

    def receive(self, body: bytes) -> None:
        """Take in one body. What can't be read is ignored."""
        try:
            message = decode(body)
        except RemoteProtocolError as error:
            log.debug("presence ignored error=%r", str(error))
            return
        if isinstance(message, Update):
            channels = self._peers.get(message.peer_id, ("", {}))[1]
            channels[channel_of(message.data)] = message.data
            self._set(message.peer_id, message.label or NO_LABEL, channels)
        elif isinstance(message, Snapshot):
            for peer in message.peers:
                self._set(peer.peer_id, peer.label, _by_channel(peer))
        elif isinstance(message, Left):
            self._peers.pop(message.peer_id, None)

    def _set(self, peer_id: str, label: str, channels: dict[str, ChannelData]) -> None:
        if peer_id != DAEMON_ID:
            self._peers[peer_id] = (label, channels)

    def labels(self) -> list[tuple[str, str]]:
        """Id and label of each, sorted by id."""
        return sorted((peer_id, label) for peer_id, (label, _) in self._peers.items())

    def cursors(self) -> list[tuple[str, str, str, int, int]]:
        """Id, label, cell, line and column of each that has a cursor, sorted by id."""
        found = []
        for peer_id, (label, channels) in self._peers.items():
            cursor = channels.get("cursor")
            if isinstance(cursor, Cursor):
                found.append((peer_id, label, cursor.cell_id, cursor.line, cursor.column))
        return sorted(found)


def _by_channel(peer: PeerState) -> dict[str, ChannelData]:
    return {channel_of(data): data for data in peer.channels}
