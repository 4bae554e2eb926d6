"""A notebook connection: handshake into a room, then a reader, a writer and a worker for requests.

Translates frames into calls of the room and back; decides nothing.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import trio

from runtimed.daemon.greeting import Greeting
from runtimed.daemon.link import LAST_WORDS, Link, PeerStalled
from runtimed.daemon.notebook_requests import LONG_REQUESTS, answer, start_at_once
from runtimed.errors import RemoteProtocolError, RuntimedError
from runtimed.protocol import events, handshake, requests, responses
from runtimed.rooms.peer import Peer
from runtimed.rooms.room import Room
from runtimed.rooms.rooms import Rooms

__all__ = ["Greeting", "serve_notebook"]

log = logging.getLogger(__name__)

#: Requests of one peer that wait for their turn; with more, the peer is dropped.
_REQUESTS = 10_000

#: Their place among the sync messages is what they mean.
_EPOCH_REQUESTS = (requests.FollowEpoch, requests.EditsMoved)


async def serve_notebook(link: Link, hello: Any, rooms: Rooms, greeting: Greeting) -> None:
    """Serve one peer of a room. Returns when the peer has left or the room was closed."""
    try:
        room, peer, reply, launch = await _enter(hello, rooms, greeting)
    except RuntimedError as error:
        await link.send(greeting.refusal(hello, str(error)))
        return
    try:
        peer.follows_epochs = bool(hello.follows_epochs)
        if launch and len(room.peers) == 1:
            room.auto_launch()
        await link.send(reply)
        await _serve_peer(link, room, peer)
    finally:
        room.leave(peer)


async def _enter(hello: Any, rooms: Rooms, greeting: Greeting) -> tuple[Room, Peer, Any, bool]:
    """Find or make the room; the reply, and whether a first peer starts a kernel."""
    if isinstance(hello, handshake.OpenNotebook):
        room, peer, count = await rooms.open_notebook(
            Path(hello.path), autosave=hello.autosave is not False, runtime=hello.runtime
        )
        reply: Any = greeting.connected(room.notebook_id, count, room.needs_trust_approval())
        return room, peer, reply, True
    if isinstance(hello, handshake.CreateNotebook):
        folder = Path(hello.working_dir) if hello.working_dir else None
        room, peer = await rooms.create_notebook(hello.runtime, hello.notebook_id, folder)
        reply = greeting.connected(room.notebook_id, len(room.document), False)
        return room, peer, reply, True
    assert isinstance(hello, handshake.NotebookSync)
    folder = Path(hello.working_dir) if hello.working_dir else None
    room, peer = await rooms.join(hello.notebook_id, folder)
    if hello.initial_metadata:
        await room.trust.refresh()
        room.offer_metadata(hello.initial_metadata)
    return room, peer, greeting.capabilities(), room.untitled


async def _serve_peer(link: Link, room: Room, peer: Peer) -> None:
    worker = _Worker(link, room, peer)
    fault: RemoteProtocolError | None = None
    async with trio.open_nursery() as connection:

        async def write() -> None:
            await _write(link, room, peer)
            connection.cancel_scope.cancel()

        connection.start_soon(write)
        connection.start_soon(worker.run)
        try:
            await _read(link, room, peer, worker)
        except RemoteProtocolError as error:
            log.warning("peer dropped reason=%s", error)
            fault = error
        if fault is None:
            connection.cancel_scope.cancel()
        else:  # the writer ends once it has written what waits, so that last words can follow
            peer.dismiss(str(fault))
            connection.cancel_scope.deadline = trio.current_time() + LAST_WORDS
    if peer.farewell is not None:
        fault = RemoteProtocolError(peer.farewell)
    if fault is not None:  # only now: the writer may have been in the middle of something
        await link.say_farewell(fault)


async def _read(link: Link, room: Room, peer: Peer, worker: _Worker) -> None:
    """Take what the peer sends, in order. Returns when the peer has gone."""
    while True:
        event = await link.next_event()
        if isinstance(event, events.SyncMessage):
            room.receive_sync(peer, event.data)
        elif isinstance(event, events.Request):
            if isinstance(event.request, _EPOCH_REQUESTS):
                room.epoch_request(peer, event.request)
                _respond(link, peer, responses.Ok(), event.id)
            else:
                worker.take(event)
        elif isinstance(event, events.UnknownRequest):
            _respond(link, peer, responses.Error(error=event.error), event.id)
        elif isinstance(event, events.PresenceMessage):
            room.presence.receive(peer, event.data)
        elif isinstance(event, events.Closed):
            return


async def _write(link: Link, room: Room, peer: Peer) -> None:
    """Write what waits for the peer: the sync message first, so that outputs precede their news.

    Returns when the peer is to be dropped.
    """
    while True:
        await peer.wait_work()
        if peer.overrun:
            log.warning("peer dropped reason=it does not read")
            return
        dismissed = peer.dismissed
        frames = peer.take()
        if peer.behind and (message := room.generate_sync(peer)) is not None:
            frames.insert(0, link.protocol.send(events.SyncMessage(message)))
        if peer.comms_behind:
            frames += room.take_comms(peer)
        if peer.presence_waits:
            frames += room.presence.take(peer)
        if frames:
            try:
                await link.send_bytes(frames[0] if len(frames) == 1 else b"".join(frames))
            except PeerStalled:
                log.warning("peer dropped reason=it does not read")
                return
        if dismissed is not None:
            return


class _Worker:
    """Answers the requests of one peer in their order.

    Long ones with an id of their own go on beside the others. Running a cell, the most frequent
    request, is begun in the reader's task when nothing is before it.
    """

    def __init__(self, link: Link, room: Room, peer: Peer) -> None:
        self._link = link
        self._room = room
        self._peer = peer
        self._unanswered = 0
        # The reader never waits for an answer: what an answer waits for may be what it reads next.
        self._send, self._receive = trio.open_memory_channel[tuple[events.Request, int]](_REQUESTS)

    def take(self, request: events.Request) -> None:
        """Have a request answered. Raises: RemoteProtocolError if far too many wait."""
        if not self._unanswered:
            response = start_at_once(self._room, self._peer, request.request)
            if response is not None:
                frame = self._link.protocol.send(events.Response(response, request.id))
                self._peer.post_soon(frame)
                return
        self._unanswered += 1
        try:
            self._send.send_nowait((request, self._peer.writes_in))
        except trio.WouldBlock:
            raise RemoteProtocolError(
                f"{_REQUESTS} requests wait for their answers; wait for some before sending more"
            ) from None

    async def run(self) -> None:
        """Answer what was taken. Runs until cancelled."""
        async with trio.open_nursery() as long_requests:
            async for request, written_in in self._receive:
                self._unanswered -= 1
                if isinstance(request.request, requests.ShutdownKernel):
                    self._room.end_kernel()  # at once: a cell behind it is for the next kernel
                if request.id is not None and isinstance(request.request, LONG_REQUESTS):
                    long_requests.start_soon(self._answer, request, written_in)
                else:
                    self._unanswered += 1
                    await self._answer(request, written_in)
                    self._unanswered -= 1

    async def _answer(self, request: events.Request, written_in: int) -> None:
        response = await answer(self._room, self._peer, request.request, written_in)
        _respond(self._link, self._peer, response, request.id)


def _respond(link: Link, peer: Peer, response: Any, request_id: Any) -> None:
    with contextlib.suppress(trio.ClosedResourceError):
        peer.post((link.protocol.send(events.Response(response, request_id)),))
