"""A CRDT document that several peers change at once: transactions, sync messages, heads.

Wraps the Automerge library, whose exceptions end here. Knows nothing of notebooks: a subclass says
what the content is and learns what peers changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from automerge.core import ROOT, Document, Message, SyncState, Transaction

from runtimed.document.guarded import is_panic
from runtimed.document.mentions import document_mentions
from runtimed.document.sync_messages import with_exact_have
from runtimed.errors import DocumentUnreadable, RemoteProtocolError, RuntimedError

if TYPE_CHECKING:
    from automerge.core import Change  # known to the type stubs only

__all__ = ["SharedDocument", "SyncPeer"]

# Changes that `has_heads` knows without asking the library. A peer waits for what is recent.
_REMEMBERED_CHANGES = 4096
_REMEMBERED_ABSENT = 64
_LONGEST_LOG = 1024


class SyncPeer:
    """What we know of the state of one peer. Made by `new_peer`, lives as long as a connection."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = SyncState()


class SharedDocument:
    """A document and its history. Not to be touched by two threads at once."""

    def __init__(self, document: Document, stored: bytes = b"") -> None:
        """`stored` is what the document was loaded from."""
        self._doc = document
        self._transaction: Transaction | None = None
        self._heads: list[bytes] = document.get_heads()
        self._hex_heads: list[str] | None = None
        #: The version that was loaded; bringing it up to date may have added a change since.
        self.stored_heads: list[str] = sorted(head.hex() for head in self._heads) if stored else []
        self._recent: dict[bytes, None] = dict.fromkeys(self._heads)
        self._recent_order: deque[bytes] = deque(self._heads)
        self._absent: dict[bytes, None] = {}
        # The document in bytes, up to some heads. See `_recover`.
        self._log: list[bytes] = [stored]
        self._log_heads = self._heads if stored else []
        self._changes = len(document.get_changes([])) if self._heads else 0
        self._unproven = False  # whether a peer's changes came since the last save
        self._adopted: set[bytes] = set()  # changes of others that count as our own
        self.actor: bytes = document.get_actor()  # our name as a writer

    @staticmethod
    def _load(data: bytes, actor: bytes) -> Document:
        """Load stored bytes for a new writer.

        Raises: DocumentUnreadable if they are no document, or an empty one.
        """
        try:
            document = Document.load(data)
            document.set_actor(actor)
        except Exception as error:
            raise DocumentUnreadable(f"Not a readable document: {error}") from error
        except BaseException as error:
            if not is_panic(error):
                raise
            raise DocumentUnreadable(f"Not a readable document: {error}") from error
        if not document.get_heads():
            raise DocumentUnreadable("The document is empty")
        return document

    # Content

    @property
    def library_document(self) -> Document:
        """The document as the library has it, for readers who know no schema. Not to be written."""
        return self._doc

    @property
    def changes(self) -> int:
        """How many changes the history has."""
        return self._changes

    @property
    def heads(self) -> list[str]:
        """The hashes of the newest changes, as sorted hex: the version of the document."""
        if self._hex_heads is None:
            self._hex_heads = sorted(head.hex() for head in self._heads)
        return list(self._hex_heads)

    def has_heads(self, heads: Iterable[str]) -> bool:
        """Whether the document contains these changes. What isn't a hash is not contained.

        Cost: a look-up for recent changes and for hashes that were looked for before; else a walk
        over the history.
        """
        return all(self._has_change(head) for head in heads)

    def _has_change(self, head: str) -> bool:
        try:
            hash_ = bytes.fromhex(head)
        except ValueError:
            return False
        if len(hash_) != 32:
            return False
        if hash_ in self._absent:
            return False  # and it has not come since: `_remember` would have struck it off
        # The second look is for versions in which the root was still empty.
        if self._knows(hash_) or any(change.hash == hash_ for change in self._doc.get_changes([])):
            return True
        self._absent[hash_] = None
        if len(self._absent) > _REMEMBERED_ABSENT:
            del self._absent[next(iter(self._absent))]
        return False

    def _knows(self, hash_: bytes) -> bool:
        """Whether we have a change. Quick; misses those of versions whose root is still empty."""
        # At an unknown version the root has a size of 0.
        return hash_ in self._recent or self._doc.length(ROOT, heads=[hash_]) > 0

    def save(self) -> bytes:
        """The whole document, compact. Change chunks may be written behind it.

        Special cases: a document that took changes from a peer is loaded again as a test, because
        the library accepts changes that it can't save; then the result is not compact.
        """
        self._outside_batch()
        with self._no_panic():
            self._write_log()
        try:
            data = self._doc.save()
        except BaseException as error:
            if not is_panic(error):
                raise
            self._recover()
            return b"".join(self._log)
        if self._unproven and not self._is_whole(data):
            return b"".join(self._log)
        self._log, self._unproven = [data], False
        return data

    def _is_whole(self, data: bytes) -> bool:
        try:
            return sorted(self._load(data, self.actor).get_heads()) == sorted(self._heads)
        except DocumentUnreadable:
            return False

    def changes_since(self, heads: Iterable[str]) -> bytes:
        """The changes that a version lacks, as chunks to write behind a saved document."""
        return self._chunks_since([bytes.fromhex(head) for head in heads])

    def _chunks_since(self, heads: list[bytes]) -> bytes:
        return b"".join(change.raw_bytes for change in self._doc.get_changes(heads))

    def mentions(self) -> Iterator[set[str]]:
        """The names of blobs in the document, a little at a time; edits in between do no harm."""
        while True:
            document = self._doc
            try:
                yield from document_mentions(document)
            except BaseException as error:
                if document is self._doc or not is_panic(error):
                    raise
                continue  # what a peer sent has broken it, and `_recover` has made another
            return

    def _version_without_own(self, had: Iterable[str]) -> list[bytes] | None:
        """The version with what we wrote up to these heads and all that others wrote.

        Returns: its heads, not only the newest; None if there is nothing else in the document.
        """
        known = [bytes.fromhex(head) for head in had if self._has_change(head)]
        beyond = self._doc.get_changes(known)
        others = [change.hash for change in beyond if not self._is_own(change)]
        return None if len(others) == len(beyond) else known + others

    def adopt_changes_since(self, heads: Iterable[str]) -> None:
        """Take what came after a version for our own: the edits of an earlier copy of ours."""
        known = [bytes.fromhex(head) for head in heads]
        self._adopted.update(change.hash for change in self._doc.get_changes(known))

    def _is_own(self, change: Change) -> bool:
        return change.actor_id == self.actor or change.hash in self._adopted

    # Editing

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Make all edits inside one change, which is undone if an exception leaves the block.

        Special cases: an inner batch belongs to the outer one; there is no syncing or saving
        inside.
        """
        with self._edit():
            yield

    @contextmanager
    def _edit(self) -> Iterator[Transaction]:
        if self._transaction is not None:
            yield self._transaction
            return
        try:
            with self._no_panic(), self._doc.transaction() as transaction:
                self._transaction = transaction
                yield transaction
        except BaseException:
            self._rolled_back()
            raise
        finally:
            self._transaction = None
        before = self._heads
        self._set_heads()
        if self._heads != before:
            self._changes += 1
            for head in self._heads:
                self._remember(head)

    def _rolled_back(self) -> None:
        """Called when edits were undone: forget what was learned from making them."""

    def _outside_batch(self) -> None:
        if self._transaction is not None:
            raise RuntimeError("not possible inside a batch")

    # Syncing

    def new_peer(self) -> SyncPeer:
        """A fresh sync state, for a connection that has just been made."""
        return SyncPeer()

    def generate_sync(self, peer: SyncPeer) -> bytes | None:
        """The next message for a peer; None while there is nothing to say."""
        self._outside_batch()
        with self._no_panic():
            message = self._doc.generate_sync_message(peer._state)
            return None if message is None else message.encode()

    def _receive(self, peer: SyncPeer, data: bytes) -> None:
        """Take a message of a peer in. `_received` is called with what it brought.

        Raises: RemoteProtocolError if it can't be read or applied; the document is still good.
        """
        self._outside_batch()
        try:
            with self._no_panic():
                self._write_log()
                before = self._heads
                try:
                    message = Message.decode(with_exact_have(data, self._knows))
                    self._doc.receive_sync_message(peer._state, message)
                finally:
                    self._follow(before)  # after an error, too: what was applied counts
        except Exception as error:
            raise RemoteProtocolError(f"Invalid sync message: {error}") from error

    def _follow(self, before: list[bytes]) -> None:
        self._set_heads()
        if self._heads != before:
            changes = self._doc.get_changes(before)
            # A probe: the library accepts changes of which it can't say what follows them.
            self._doc.get_changes(self._heads)
            for change in changes:
                self._remember(change.hash)
            self._changes += len(changes)
            self._add_to_log(b"".join(change.raw_bytes for change in changes))
            self._unproven = True
            self._received(changes)

    def _write_log(self) -> None:
        """Bring the log up to the document: before anything that may break it."""
        if self._heads != self._log_heads:
            self._add_to_log(self._chunks_since(self._log_heads))

    def _add_to_log(self, chunks: bytes) -> None:
        self._log.append(chunks)
        self._log_heads = self._heads
        if len(self._log) > _LONGEST_LOG:
            self._log = [b"".join(self._log)]

    @contextmanager
    def _no_panic(self) -> Iterator[None]:
        """Turn a panic of the library into an error, with the document as it was before."""
        try:
            yield
        except BaseException as error:
            if not is_panic(error):
                raise
            self._transaction = None
            self._recover()
            raise RuntimedError(f"The document can't do this: {error}") from error

    def _recover(self) -> None:
        """Make the document anew, as it was when the log was written.

        A change that no honest library makes can cause a panic while it is applied. The library's
        document is unusable then, for every peer; so its bytes are kept at hand.
        """
        data = b"".join(self._log)
        self._doc = self._load(data, self.actor) if data else Document(self.actor)
        self._set_heads()
        self._changes = len(self._doc.get_changes([])) if self._heads else 0
        self._rolled_back()

    def _received(self, changes: list[Change]) -> None:
        """Called with the changes that came from a peer, in causal order."""

    def _set_heads(self) -> None:
        self._heads = self._doc.get_heads()
        self._hex_heads = None

    def _remember(self, hash_: bytes) -> None:
        if hash_ in self._recent:
            return
        self._absent.pop(hash_, None)
        self._recent[hash_] = None
        self._recent_order.append(hash_)
        if len(self._recent_order) > _REMEMBERED_CHANGES:
            del self._recent[self._recent_order.popleft()]
