"""A client that is nothing but the wire: for tests that misbehave, or look at single frames.

It works over any stream, a memory stream as well as the socket of a real daemon.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from runtimed.client.replica import Replica
from runtimed.errors import RuntimedError
from runtimed.protocol import broadcasts, events, handshake, requests
from runtimed.protocol.connection import NEED_DATA, Connection, Role

__all__ = ["WirePeer", "connect", "read_to_end"]

_CHUNK = 262_144


class WirePeer:
    """One connection. What arrives while something else is waited for is kept in `heard`."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.connection = Connection(Role.CLIENT)
        self.replica = Replica()
        self.heard: list[Any] = []
        self._ids = itertools.count(1)

    async def open(self, hello: Any) -> Any:
        """Shake hands; the reply on notebook channels, None on the others."""
        await self.stream.send_all(self.connection.open(hello))
        if isinstance(
            hello, (handshake.NotebookSync, handshake.OpenNotebook, handshake.CreateNotebook)
        ):
            return await self.next_event()
        return None

    async def join(self, notebook_id: str) -> Any:
        """Join a room and take in its document."""
        reply = await self.open(handshake.NotebookSync(notebook_id, protocol="v2"))
        await self.sync()
        return reply

    async def next_event(self) -> Any:
        """The next event; Closed at the end, whichever way the daemon closed."""
        while (event := self.connection.next_event()) is NEED_DATA:
            try:
                data = await self.stream.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return events.Closed()
            self.connection.receive_data(data)
        if isinstance(event, events.SyncMessage):
            self.replica.receive(event.data)
        return event

    async def send(self, message: Any) -> None:
        await self.stream.send_all(self.connection.send(message))

    async def send_edits(self) -> None:
        """Send what the daemon has not seen of the replica."""
        if (message := self.replica.outgoing()) is not None:
            await self.send(events.SyncMessage(message))

    async def ask(self, request: Any) -> Any:
        """Make a request; its response."""
        number = next(self._ids)
        await self.send(events.Request(request, number))
        found = await self.hear(lambda e: isinstance(e, events.Response) and e.id == number)
        return found.response

    async def ask_pool(self, request: Any) -> Any:
        await self.send(events.PoolRequest(request))
        return (await self.hear(lambda e: isinstance(e, events.PoolResponse))).response

    async def hear(self, wanted: Callable[[Any], bool]) -> Any:
        """Wait for an event that is wanted.

        Raises: ConnectionError if the connection ends before.
        """
        while True:
            event = await self.next_event()
            self.heard.append(event)
            if wanted(event):
                return event
            if isinstance(event, events.Closed):
                raise ConnectionError("closed")

    async def hear_done(self, cell_id: str) -> broadcasts.ExecutionDone:
        """Wait for the end of a cell."""
        event = await self.hear(
            lambda e: (
                isinstance(e, events.Broadcast)
                and isinstance(e.broadcast, broadcasts.ExecutionDone)
                and e.broadcast.cell_id == cell_id
            )
        )
        done: broadcasts.ExecutionDone = event.broadcast
        return done

    async def sync(self) -> None:
        """Exchange sync messages until both documents are the same."""
        while True:
            await self.send_edits()
            before = len(self.heard)
            heads = (await self.ask(requests.GetHeads())).heads
            if sorted(heads) == self.replica.document.heads:
                return
            if not any(isinstance(event, events.SyncMessage) for event in self.heard[before:]):
                await self.hear(lambda event: isinstance(event, events.SyncMessage))

    async def last_words(self) -> str:
        """What the daemon says before it closes; everything else is skipped."""
        text = ""
        while True:
            try:
                event = await self.next_event()
            except RuntimedError as error:
                return str(error)
            if isinstance(event, events.Closed):
                return text
            response = getattr(event, "response", event)
            text = getattr(response, "error", None) or getattr(response, "message", None) or text


async def read_to_end(stream: trio.abc.Stream) -> bytes:
    """Everything up to the end of a stream, in whichever way it ends."""
    data = b""
    while True:
        try:
            piece = await stream.receive_some(_CHUNK)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return data
        if not piece:
            return data
        data += piece


@asynccontextmanager
async def connect(socket: Path) -> AsyncIterator[WirePeer]:
    """A connection to a real daemon."""
    async with await trio.open_unix_socket(socket) as stream:
        yield WirePeer(stream)
