"""This client's copy of a notebook document and its half of the conversation that keeps it in step.

Sync messages go in and come out as bytes; who carries them is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable

from runtimed.document.actors import client_actor
from runtimed.document.notebook import NotebookDocument, Touched
from runtimed.errors import RemoteProtocolError

__all__ = ["Replica", "announced_heads"]

#: First byte of a sync message, in its two encodings.
_MESSAGE_TYPES = (0x42, 0x43)
_HASH_SIZE = 32

_CHUNK_MAGIC = b"\x85\x6f\x4a\x83"


class Replica:
    """A document that edits change at once, and what is known of the daemon's copy."""

    def __init__(self, peer_label: str | None = None) -> None:
        self.document = NotebookDocument.empty(client_actor(peer_label))
        self._peer = self.document.new_peer()
        self._announced: list[str] = []

    def carry_over(self, lost: Replica) -> bool:
        """Take in the edits of an earlier replica that never reached the daemon.

        Returns: False if there were none to be had, since the daemon has begun a new document.
        """
        if not self.document.is_same_document(lost.document):
            return False
        ours, theirs = self.document.new_peer(), lost.document.new_peer()
        while True:
            asked = self.document.generate_sync(ours)
            if asked is not None:
                lost.document.receive_sync(theirs, asked)
            given = lost.document.generate_sync(theirs)
            if given is not None:
                self.document.receive_sync(ours, given)
            if asked is None and given is None:
                return True

    def receive(self, data: bytes) -> Touched:
        """Take in one sync message of the daemon.

        Raises: RemoteProtocolError if it can't be decoded; the document is unharmed.
        """
        announced = announced_heads(data)
        touched = self.document.receive_sync(self._peer, data)
        self._announced = announced
        return touched

    def outgoing(self) -> bytes | None:
        """The next sync message for the daemon, None when there is nothing to tell."""
        return self.document.generate_sync(self._peer)

    def announced(self, heads: Iterable[str]) -> None:
        """The daemon has said by other means than a sync message which version it holds."""
        self._announced = list(heads)

    @property
    def in_step(self) -> bool:
        """Whether everything the daemon has announced is here.

        A sync message may leave out a change that the sender took for known (its filter errs now
        and then) and bring it one round later, so having taken in the message is not enough.
        """
        return self.document.has_heads(self._announced)

    @property
    def confirmed(self) -> bool:
        """Whether the daemon has said that it has every local edit.

        It need not say so on its own: a daemon that hears of heads which are its own takes it that
        all is known. Ask it for its heads, then.
        """
        return self.daemon_has(self.document.heads)

    def daemon_has(self, heads: Iterable[str]) -> bool:
        """Whether what the daemon has announced includes these heads, which must be here."""
        heads = list(heads)
        if not self._announced or not self.in_step:
            return False
        if heads == sorted(self._announced):
            return True
        lacking = self.document.changes_since(self._announced)
        # A change begins with the first bytes of its hash.
        return not any(_CHUNK_MAGIC + bytes.fromhex(head)[:4] in lacking for head in heads)

    def has(self, heads: Iterable[str]) -> bool:
        return self.document.has_heads(list(heads))


def announced_heads(message: bytes) -> list[str]:
    """The heads of its sender's document that a sync message begins with, as hex.

    Shape: a type byte, the number of heads as unsigned LEB128, 32 bytes for each.
    Raises: RemoteProtocolError if the bytes are no sync message.
    """
    if not message or message[0] not in _MESSAGE_TYPES:
        raise RemoteProtocolError("not a sync message")
    count, shift, at = 0, 0, 1
    while True:
        if at >= len(message) or shift > 28:
            raise RemoteProtocolError("sync message is cut short")
        byte = message[at]
        at += 1
        count |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    if at + count * _HASH_SIZE > len(message):
        raise RemoteProtocolError("sync message is cut short")
    return [
        message[i : i + _HASH_SIZE].hex() for i in range(at, at + count * _HASH_SIZE, _HASH_SIZE)
    ]
