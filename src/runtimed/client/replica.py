"""This client's copy of a notebook document and its half of the conversation that keeps it in step.

Sync messages go in and come out as bytes; who carries them is not known here. When the daemon
begins a new epoch, a fresh document comes in beside the old one, which stays the copy that is read
and edited until the fresh one is complete; what was edited here meanwhile is brought along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from runtimed.document.actors import client_actor
from runtimed.document.notebook import NotebookDocument, SyncPeer, Touched
from runtimed.document.sync_messages import announced_heads
from runtimed.document.three_way import NotebookState, merge_into
from runtimed.errors import RemoteProtocolError

__all__ = ["Moved", "Replica", "Version"]

_CHUNK_MAGIC = b"\x85\x6f\x4a\x83"


@attrs.frozen
class Version:
    """A version of the replica: its heads, and how many epochs it had followed then."""

    followed: int
    heads: tuple[str, ...]


@attrs.frozen
class Moved:
    """What the daemon is told once: with these heads it has all edits of earlier epochs."""

    epoch: int
    heads: tuple[str, ...]


@attrs.define
class _Coming:
    """The document of the epoch that has begun, until it is complete."""

    epoch: int
    had: Sequence[str]  # heads: what of our edits the daemon had when it began
    document: NotebookDocument
    peer: SyncPeer
    announced: list[str] = attrs.field(factory=list)

    @property
    def complete(self) -> bool:
        return (
            bool(self.announced)
            and self.document.has_heads(self.announced)
            and self.document.notebook_id is not None
        )


class Replica:
    """A document that edits change at once, and what is known of the daemon's copy.

    `document` becomes another object when an epoch has been followed: keep it across no await.
    """

    def __init__(self, peer_label: str | None = None) -> None:
        self._label = peer_label
        self.document = NotebookDocument.empty(client_actor(peer_label))
        self._peer = self.document.new_peer()
        self._announced: list[str] = []
        self._followed = 0
        self._coming: _Coming | None = None
        self._brought: tuple[str, ...] = ()  # heads with all that was edited in earlier epochs
        self._moved: Moved | None = None

    def carry_over(self, lost: Replica) -> bool:
        """Take in the edits of an earlier replica that never reached the daemon.

        Returns: False if there were none to be had, since the daemon has begun a new document.
        """
        if not self.document.is_same_document(lost.document):
            return False
        before = self.document.heads
        ours, theirs = self.document.new_peer(), lost.document.new_peer()
        while True:
            asked = self.document.generate_sync(ours)
            if asked is not None:
                lost.document.receive_sync(theirs, asked)
            given = lost.document.generate_sync(theirs)
            if given is not None:
                self.document.receive_sync(ours, given)
            if asked is None and given is None:
                self.document.adopt_changes_since(before)
                return True

    def receive(self, data: bytes) -> Touched:
        """Take in one sync message of the daemon.

        Raises: RemoteProtocolError if it can't be decoded; the document is unharmed.
        """
        announced = announced_heads(data)
        coming = self._coming
        if coming is not None:
            coming.document.receive_sync(coming.peer, data)
            coming.announced = announced
            return self._go_on(coming)
        touched = self.document.receive_sync(self._peer, data)
        self._announced = announced
        return touched

    def outgoing(self) -> bytes | None:
        """The next sync message for the daemon, None when there is nothing to tell."""
        if self._coming is not None:
            return self._coming.document.generate_sync(self._coming.peer)
        return self.document.generate_sync(self._peer)

    def announced(self, heads: Iterable[str]) -> None:
        """The daemon has said by other means than a sync message which version it holds.

        To be called in the order in which it came, among the sync messages.
        """
        if self._coming is not None:
            self._coming.announced = list(heads)
            self._go_on(self._coming)
        else:
            self._announced = list(heads)

    # Epochs

    def follow(self, epoch: int, had: Iterable[str]) -> None:
        """The daemon's document has begun anew, with what of our edits is in these heads.

        Every sync message from now on, in both directions, is about the new document.
        Raises: RemoteProtocolError if the last one has not even come.
        """
        if self._coming is not None:
            raise RemoteProtocolError("an epoch began before the last one had come")
        document = NotebookDocument.empty(client_actor(self._label))
        self._coming = _Coming(epoch, list(had), document, document.new_peer())

    def take_moved(self) -> Moved | None:
        """What the daemon is to be told, once, behind whatever was sent before."""
        moved, self._moved = self._moved, None
        return moved

    def _go_on(self, coming: _Coming) -> Touched:
        """Go on in the new document, if it is complete."""
        if not coming.complete:
            return Touched()
        old, new = self.document, coming.document
        base = old.without_own_edits(coming.had)
        if base is not None:
            merge_into(new, NotebookState.of(base), NotebookState.of(old))
        self.document, self._peer, self._announced = new, coming.peer, coming.announced
        self._coming = None
        self._followed += 1
        self._brought = tuple(new.heads)
        self._moved = Moved(coming.epoch, self._brought)
        return _difference(old, new)

    # Being in step

    @property
    def in_step(self) -> bool:
        """Whether everything the daemon has announced is here.

        A sync message may leave out a change that the sender took for known (its filter errs now
        and then) and bring it one round later, so having taken in the message is not enough.
        """
        return self._coming is None and self.document.has_heads(self._announced)

    @property
    def version(self) -> Version:
        """The document as it is now, for `daemon_has`."""
        return Version(self._followed, tuple(self.document.heads))

    @property
    def confirmed(self) -> bool:
        """Whether the daemon has said that it has every local edit.

        It need not say so on its own: a daemon that hears of heads which are its own takes it that
        all is known. Ask it for its heads, then.
        """
        return self.daemon_has(self.version)

    def daemon_has(self, version: Version) -> bool:
        """Whether what the daemon has announced includes this version of ours."""
        if not self._announced or not self.in_step:
            return False
        heads = version.heads if version.followed == self._followed else self._brought
        if list(heads) == sorted(self._announced):
            return True
        lacking = self.document.changes_since(self._announced)
        # A change begins with the first bytes of its hash.
        return not any(_CHUNK_MAGIC + bytes.fromhex(head)[:4] in lacking for head in heads)

    def has(self, heads: Iterable[str]) -> bool:
        return self.document.has_heads(list(heads))


def _difference(old: NotebookDocument, new: NotebookDocument) -> Touched:
    before = {cell.id: cell for cell in old.cells()}
    after = {cell.id: cell for cell in new.cells()}
    cells = {id_ for id_ in before.keys() | after.keys() if before.get(id_) != after.get(id_)}
    return Touched(
        frozenset(cells),
        old.cell_ids() != new.cell_ids(),
        old.metadata_snapshot() != new.metadata_snapshot(),
    )
