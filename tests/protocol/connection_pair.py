"""Both ends of a connection, joined by nothing but bytes: what one end sends the other receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtimed.protocol.connection import CLIENT, DAEMON, NEED_DATA, Connection, Role
from runtimed.protocol.events import Closed
from runtimed.protocol.handshake import (
    CreateNotebook,
    Handshake,
    NotebookConnectionInfo,
    NotebookSync,
    OpenNotebook,
    ProtocolCapabilities,
)

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def events_of(connection: Connection) -> list[Any]:
    """Every event there is at the moment; Closed, which repeats itself, once."""
    found: list[Any] = []
    while (event := connection.next_event()) is not NEED_DATA:
        if found and found[-1] == event and isinstance(event, Closed):
            break
        found.append(event)
    return found


class ConnectionPair:
    """A client and a daemon past the handshake and its reply.

    cut: how what is sent is split into pieces on its way.
    """

    def __init__(self, opening: Handshake, cut: Cut = whole) -> None:
        self.ends = {role: Connection(role) for role in Role}
        self.client = self.ends[CLIENT]
        self.daemon = self.ends[DAEMON]
        self._cut = cut
        assert self.deliver(DAEMON, self.client.open(opening)) == [opening]
        if isinstance(opening, NotebookSync):
            reply: Any = ProtocolCapabilities(daemon_version="0.1.0")
            self.daemon_sends(reply, [reply])
        elif isinstance(opening, OpenNotebook | CreateNotebook):
            reply = NotebookConnectionInfo("/n.ipynb", 0, False, daemon_version="0.1.0")
            self.daemon_sends(reply, [reply])

    def deliver(self, to: Role, data: bytes) -> list[Any]:
        """Hand bytes to one end, piece by piece, and give the events they cause."""
        found: list[Any] = []
        for piece in self._cut(data):
            self.ends[to].receive_data(piece)
            found += events_of(self.ends[to])
        return found

    def client_sends(self, message: Any, expected: list[Any]) -> bytes:
        """Let the client send; the daemon must see exactly these events."""
        data = self.client.send(message)
        assert self.deliver(DAEMON, data) == expected
        return data

    def daemon_sends(self, message: Any, expected: list[Any]) -> bytes:
        """Let the daemon send; the client must see exactly these events."""
        data = self.daemon.send(message)
        assert self.deliver(CLIENT, data) == expected
        return data
