"""What a change touches, read from its binary form without applying it.

A change chunk stores its operations by column, run-length coded. Only the columns that say which
object and key an operation is about are decoded, so that a pasted page of text costs a few runs.
Knows the binary format and nothing of notebooks.
"""

from __future__ import annotations

import zlib
from typing import Any

import attrs

from runtimed.document.leb128 import encode_unsigned, signed, unsigned

__all__ = ["ROOT_KEY", "ChangeTouches", "Made", "ObjectKey", "object_id", "object_key", "touched"]

# An object by the operation that made it: counter and actor. The library's own ids (bytes) carry a
# hint that differs from one moment to the next, so they can't be compared.
ObjectKey = tuple[int, bytes]
ROOT_KEY: ObjectKey = (0, b"")

_MAGIC = b"\x85\x6f\x4a\x83"
_CHANGE, _COMPRESSED_CHANGE = 1, 2
_LARGEST_INFLATED = 1 << 30

# Column specifications: column id << 4 | type (1 actor, 2 unsigned, 5 string).
_OBJECT_ACTOR, _OBJECT_COUNTER, _KEY_STRING, _ACTION = 0x01, 0x02, 0x15, 0x42
_MAKE_ACTIONS = frozenset((0, 2, 4, 6))  # map, list, text, table


@attrs.frozen
class Made:
    """An object that a change creates, and where it puts it; a list element has no key."""

    child: ObjectKey
    parent: ObjectKey
    key: str | None


@attrs.frozen
class ChangeTouches:
    """The places one change writes to, each once, and the objects it makes, in order.

    What is written into an object that the same change makes is no place of its own.
    """

    places: list[tuple[ObjectKey, str | None]]
    made: list[Made]


def object_key(object_id: bytes) -> ObjectKey:
    """Read an object id of the library: version byte, length-prefixed actor, hint, counter."""
    if len(object_id) < 2:
        return ROOT_KEY
    size, at = unsigned(object_id, 1)
    actor = object_id[at : at + size]
    _, at = unsigned(object_id, at + size)
    counter, _ = unsigned(object_id, at)
    return counter, actor


def object_id(key: ObjectKey) -> bytes:
    """Write an object id that the library understands; the hint may be wrong."""
    counter, actor = key
    if not actor:
        return b"\x00"
    return b"\x10" + encode_unsigned(len(actor)) + actor + b"\x00" + encode_unsigned(counter)


def touched(raw: bytes) -> ChangeTouches:
    """Read which objects and keys a change chunk writes to, and which objects it makes.

    Cost: proportional to the runs in its columns, not to its operations.
    Raises: ValueError if this is no change chunk.
    """
    try:
        return _touched(raw)
    except (IndexError, OverflowError, UnicodeDecodeError, zlib.error) as error:
        raise ValueError(f"not a change chunk: {error}") from error


def _touched(raw: bytes) -> ChangeTouches:
    if raw[:4] != _MAGIC or raw[8] not in (_CHANGE, _COMPRESSED_CHANGE):
        raise ValueError("not a change chunk")
    size, at = unsigned(raw, 9)
    data = raw[at : at + size]
    if raw[8] == _COMPRESSED_CHANGE:
        data = zlib.decompressobj(-15).decompress(data, _LARGEST_INFLATED)
    count, at = unsigned(data, 0)
    at += 32 * count  # hashes of what it depends on
    size, at = unsigned(data, at)
    actors = [data[at : at + size]]
    _, at = unsigned(data, at + size)  # sequence number
    counter, at = unsigned(data, at)
    _, at = unsigned(data, at)  # time; signed, but as long
    size, at = unsigned(data, at)
    at += size  # message
    count, at = unsigned(data, at)
    for _ in range(count):
        size, at = unsigned(data, at)
        actors.append(data[at : at + size])
        at += size
    columns: dict[int, tuple[int, int]] = {}
    count, at = unsigned(data, at)
    sizes = []
    for _ in range(count):
        specification, at = unsigned(data, at)
        size, at = unsigned(data, at)
        sizes.append((specification, size))
    for specification, size in sizes:
        columns[specification] = (at, at + size)
        at += size
    return _join(data, columns, actors, counter)


def _join(
    data: bytes, columns: dict[int, tuple[int, int]], actors: list[bytes], counter: int
) -> ChangeTouches:
    """Walk the columns side by side, one step for each stretch in which none of them changes."""
    object_actors = _runs(data, columns.get(_OBJECT_ACTOR))
    object_counters = _runs(data, columns.get(_OBJECT_COUNTER))
    keys = _runs(data, columns.get(_KEY_STRING), strings=True)
    actor_left, actor = object_actors.pop()
    counter_left, object_counter = object_counters.pop()
    key_left, key = keys.pop()
    places: dict[tuple[ObjectKey, str | None], None] = {}
    new: set[ObjectKey] = set()
    made: list[Made] = []
    own = actors[0]
    actions = _runs(data, columns.get(_ACTION))
    for action_left, action in actions[:0:-1]:
        while action_left:
            step = min(action_left, actor_left, counter_left, key_left)
            place = ROOT_KEY if actor is None else (object_counter, actors[actor])
            if place not in new:
                places[place, key] = None
            if action in _MAKE_ACTIONS:
                for i in range(counter, counter + step):
                    made.append(Made((i, own), place, key))
                    new.add((i, own))
            counter += step
            action_left -= step
            actor_left -= step
            if not actor_left:
                actor_left, actor = object_actors.pop()
            counter_left -= step
            if not counter_left:
                counter_left, object_counter = object_counters.pop()
            key_left -= step
            if not key_left:
                key_left, key = keys.pop()
    return ChangeTouches(list(places), made)


_ENDLESS = 1 << 62


def _runs(
    data: bytes, span: tuple[int, int] | None, strings: bool = False
) -> list[tuple[int, Any]]:
    """The runs of a column, a length and a value each, last run first.

    Special cases: beyond the end of a column everything is null, so an endless run of nulls is at
    the bottom.
    """
    runs: list[tuple[int, Any]] = []
    at, end = span or (0, 0)
    while at < end:
        length, at = signed(data, at)
        if not length:
            length, at = unsigned(data, at)
            if length:
                runs.append((length, None))
            continue
        repeated, literals = (length, 1) if length > 0 else (1, -length)
        for _ in range(literals):
            value = data[at]
            if value < 0x80:  # nearly always
                at += 1
            else:
                value, at = unsigned(data, at)
            if strings:
                runs.append((repeated, data[at : at + value].decode()))
                at += value
            else:
                runs.append((repeated, value))
    runs.append((_ENDLESS, None))
    runs.reverse()
    return runs
