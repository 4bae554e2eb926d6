"""The epochs of one room: when its document's history begins anew, and who follows.

An epoch is the life of one document object. The next one has the same content and no past. Peers
that can follow are told, ask for the new document in their own time, and bring along what they
had edited and the daemon had not received; docs/long-lives.md tells the whole story.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import trio

from runtimed.document.actors import daemon_actor
from runtimed.document.fresh_copy import FreshCopy
from runtimed.document.history import HistoryBounds
from runtimed.document.notebook import NotebookDocument
from runtimed.document.sync_messages import announced_heads
from runtimed.errors import RemoteProtocolError
from runtimed.protocol import broadcasts, requests
from runtimed.protocol.connection import encode_broadcast
from runtimed.protocol.frames import FrameKind, encode_typed
from runtimed.rooms.peer import Peer

__all__ = ["EpochRequest", "Epochs", "begun_anew"]

log = logging.getLogger(__name__)

EpochRequest = requests.FollowEpoch | requests.EditsMoved

#: Seconds without a change that make a moment quiet, and between two looks whether there is one.
_QUIET = 1.0
_LOOK_AGAIN = 0.25

#: How often a copy is brought up to a document that changes meanwhile, before it is put off.
_ROUNDS = 8

_GO_AND_RETURN = (
    "The notebook's history became too long and has to begin anew, which this program can't "
    "follow while it is connected. Connect again to go on"
)


class EpochRoom(Protocol):
    """What epochs need of a room."""

    @property
    def document(self) -> NotebookDocument: ...

    @property
    def peers(self) -> Iterable[Peer]: ...

    @property
    def resting(self) -> float:
        """Seconds since the last change; 0 while a cell runs."""
        ...

    @property
    def busy_with_file(self) -> bool:
        """Whether something is under way that says something of a version when it is done."""
        ...

    def generate_sync(self, peer: Peer) -> bytes | None: ...

    def go_on_in(self, document: NotebookDocument) -> None:
        """Take a document with the same content in place of the present one."""
        ...

    async def wait_loaded(self) -> None: ...


class Epochs:
    """The epochs of one room. `number` counts them."""

    def __init__(self, room: EpochRoom, bounds: HistoryBounds) -> None:
        self._room = room
        self._bounds = bounds
        self.number = 0
        self.look_at: float = bounds.fewest
        """Changes in the history beyond which `is_long` is to be called."""
        self._long = trio.Event()
        self._previous: NotebookDocument | None = None  # until all have moved out of it

    # ------------------------------------------------------------------ peers

    def hear(self, peer: Peer, request: EpochRequest) -> None:
        """A peer has followed, or has brought its edits along. In the order of its stream."""
        if request.epoch != self.number:
            return  # of an epoch before: the peer is slower than it should be, or wrong
        if isinstance(request, requests.FollowEpoch):
            if not self.is_here(peer):
                peer.follow(self.number, self._room.document.new_peer())
        elif self.is_here(peer):
            peer.edits_moved(self.number, request.heads)
            if all(self._is_settled(each) for each in self._room.peers):
                self._previous = None

    def is_here(self, peer: Peer) -> bool:
        """Whether a peer's sync messages are about the present document."""
        return peer.epoch == self.number

    def has(self, peer: Peer, heads: Sequence[str], written_in: int) -> bool:
        """Whether the document has all that a peer had edited when it wrote something.

        `heads` are those that it named, `written_in` the epoch it wrote in.
        """
        if written_in == self.number:
            return self._room.document.has_heads(heads)
        if self._is_settled(peer):
            return True
        previous = self._previous
        return previous is not None and written_in == self.number - 1 and previous.has_heads(heads)

    def has_announced(self, peer: Peer) -> bool:
        """Whether the document has all that a peer's latest sync message says the peer has.

        It may lack some of it: a peer can take a change for one that we have, because we describe
        ours with a filter, and holds it back until we ask.
        """
        heads = self._announced(peer)
        return heads is None or not self.is_here(peer) or self._room.document.has_heads(heads)

    def _is_settled(self, peer: Peer) -> bool:
        """Whether a peer is here with everything it had edited elsewhere."""
        return (
            self.is_here(peer)
            and peer.writes_in == self.number
            and self._room.document.has_heads(peer.moved)
        )

    def _is_in_the_way(self, peer: Peer) -> bool:
        """Whether no epoch can begin because of a peer: it can't follow, or its edits are on
        their way."""
        if not peer.follows_epochs or not self._is_settled(peer):
            return True
        return self._announced(peer) is None or not self.has_announced(peer)

    def _announced(self, peer: Peer) -> list[str] | None:
        try:
            return announced_heads(peer.announced_in) if peer.announced_in else []
        except RemoteProtocolError:
            return None  # too many to be kept

    # ------------------------------------------------------------------ beginning

    def is_long(self) -> None:
        """The history has passed `look_at`."""
        self._long.set()

    def begin_nowait(self, document: NotebookDocument) -> bool:
        """Go on in a document with the same content, if everybody can; whether that was so."""
        peers = list(self._room.peers)
        if self._room.busy_with_file or any(self._is_in_the_way(peer) for peer in peers):
            return False
        old = self._room.document
        for peer in peers:
            # What waits for the peer may be news of changes that it has not been sent yet.
            if peer.behind and (message := self._room.generate_sync(peer)) is not None:
                peer.post_sync(encode_typed(FrameKind.SYNC, message))
        self.number += 1
        for peer in peers:
            # The peer can tell what it has of others; what we have of it only we can.
            heads = self._announced(peer) or []
            peer.post((encode_broadcast(broadcasts.Epoch(epoch=self.number, heads=heads)),))
        self._previous = old if peers else None
        self._room.go_on_in(document)
        log.info(
            "history begun anew epoch=%d changes=%d now=%d peers=%d",
            self.number,
            old.changes,
            document.changes,
            len(peers),
        )
        return True

    async def run(self) -> None:
        """Begin epochs when it is time. Runs until cancelled."""
        await self._room.wait_loaded()
        while True:
            await self._long.wait()
            self._long = trio.Event()
            document = self._room.document
            if document.changes <= self._bounds.fewest:
                continue
            extent = document.extent
            if document.changes > self._bounds.at_rest(extent):
                self.look_at = math.inf
                await self._begin(extent)
                extent = 0
            self.look_at = self._bounds.at_rest(extent)

    async def _begin(self, extent: int) -> None:
        """Wait for a good moment and begin an epoch."""
        copy: FreshCopy | None = None
        while True:
            changes = self._room.document.changes
            in_the_way = [peer for peer in self._room.peers if self._is_in_the_way(peer)]
            if in_the_way and changes > self._bounds.at_last(extent):
                for peer in in_the_way:
                    peer.dismiss(_GO_AND_RETURN, tell=True)
            hurry = changes > self._bounds.in_a_hurry(extent)
            if not in_the_way and (hurry or self._room.resting >= _QUIET):
                if copy is None:
                    copy = FreshCopy(self._room.document, daemon_actor())
                if await _bring_up(copy) and self.begin_nowait(copy.finished()):
                    return
            await trio.sleep(_LOOK_AGAIN)


async def _bring_up(copy: FreshCopy) -> bool:
    """Bring a copy up to its original, giving others their turn. Returns whether it is the same
    now: that no change came in the last moment."""
    for _ in range(_ROUNDS):
        for _ in copy.steps():
            await trio.lowlevel.checkpoint()
        if copy.is_level:
            return True
    return False


async def begun_anew(document: NotebookDocument, bounds: HistoryBounds) -> NotebookDocument:
    """A document just loaded, or a fresh copy if its history is too long for its content."""
    if document.changes <= bounds.at_opening(0) or document.changes <= bounds.at_opening(
        document.extent
    ):
        return document
    copy = FreshCopy(document, daemon_actor())
    await _bring_up(copy)
    fresh = copy.finished()
    log.info(
        "history begun anew at opening changes=%d now=%d",
        document.changes,
        fresh.changes,
    )
    return fresh
