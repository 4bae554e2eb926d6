"""The part of a sync message in which its sender says what it has.

A message names the sender's heads, what it needs and what it has, and carries changes. Making and
applying messages is the library's work; here one is only put more exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from runtimed.document.leb128 import unsigned
from runtimed.errors import RemoteProtocolError

__all__ = ["announced_heads", "with_exact_have"]

#: First byte of a sync message, in its two encodings.
_MESSAGE_TYPES = (0x42, 0x43)
_HASH = 32
_CHANGE = 1
# Beyond this, a round trip that is lost now and then is cheaper than reading the message.
_MOST_CHANGES, _MOST_BYTES = 32, 1 << 20


def announced_heads(message: bytes) -> list[str]:
    """The heads of its sender's document that a sync message begins with, as hex.

    Shape: a type byte, the number of heads as unsigned LEB128, 32 bytes for each.
    Raises: RemoteProtocolError if the bytes are no sync message.
    """
    if not message or message[0] not in _MESSAGE_TYPES:
        raise RemoteProtocolError("not a sync message")
    try:
        heads, _ = _hashes(message, 1)
    except IndexError as error:
        raise RemoteProtocolError("sync message is cut short") from error
    return [head.hex() for head in heads]


def with_exact_have(message: bytes, known: Callable[[bytes], bool]) -> bytes:
    """A message that says exactly what its sender has, if that can be told.

    A sender describes its newest changes with a Bloom filter. In one of a hundred cases the filter
    takes one of our changes for one of the sender's, and we would hold it back for a round trip.
    But if we have all of the sender's heads once this message is applied, these heads alone say
    what the sender has. `known` tells whether we have a change already.
    Returns: the message with its filter replaced; the message itself if it has none, is long or
    malformed, or if something it builds on isn't here.
    """
    if len(message) > _MOST_BYTES:
        return message
    try:
        return _with_exact_have(message, known)
    except IndexError:
        return message


def _with_exact_have(message: bytes, known: Callable[[bytes], bool]) -> bytes:
    heads, end_of_heads = _hashes(message, 1)
    _, start_of_have = _hashes(message, end_of_heads)
    count, at = unsigned(message, start_of_have)
    filters = 0
    for _ in range(count):
        _, at = _hashes(message, at)
        size, at = unsigned(message, at)
        at += size
        filters += size
    if not filters or not heads:
        return message
    end_of_have = at
    count, at = unsigned(message, at)
    if count > _MOST_CHANGES:
        return message
    brought: set[bytes] = set()
    needed = set(heads)
    for _ in range(count):
        size, at = unsigned(message, at)
        chunk, at = message[at : at + size], at + size
        if chunk[8] != _CHANGE:
            return message
        brought.add(hashlib.sha256(chunk[8:]).digest())
        _, start = unsigned(chunk, 9)
        needed.update(_hashes(chunk, start)[0])
    if not all(known(hash_) for hash_ in needed - brought):
        return message
    exact = b"\x01" + message[1:end_of_heads] + b"\x00"  # last sync: the heads; an empty filter
    return message[:start_of_have] + exact + message[end_of_have:]


def _hashes(data: bytes, at: int) -> tuple[list[bytes], int]:
    count, at = unsigned(data, at)
    if at + count * _HASH > len(data):
        raise IndexError("cut off")
    end = at + count * _HASH
    return [data[i : i + _HASH] for i in range(at, end, _HASH)], end
