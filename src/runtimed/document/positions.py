"""Fractional positions: strings that say where a cell stands, with room between any two.

A position is a byte string that ends in 80, written as upper-case hex; plain string order is cell
order. Knows nothing of documents: neighbours come in, positions go out.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

__all__ = ["FIRST", "Placement", "after", "before", "between", "is_position", "place"]

FIRST = "80"

_MIDDLE = 0x80
_HEX = frozenset("0123456789ABCDEF")

# The position of a new cell, and new positions for neighbours that had to make room, by index.
Placement = tuple[str, dict[int, str]]


def is_position(text: str) -> bool:
    """Whether a string is a position as this module makes them."""
    return len(text) % 2 == 0 and text.endswith(FIRST) and _HEX.issuperset(text)


def before(position: str) -> str:
    """A position in front of another one. Malformed input is read as the nearest position."""
    return _text(_core_before(_digits(position)))


def after(position: str) -> str:
    """A position behind another one. Malformed input is read as the nearest position."""
    return _text(_core_after(_digits(position)))


def between(left: str, right: str) -> str | None:
    """A position strictly between two others.

    Returns None if there is none: the two are equal, in the wrong order or malformed.
    """
    if not (is_position(left) and is_position(right) and left < right):
        return None
    low, high = bytes.fromhex(left), bytes.fromhex(right)
    last = min(len(low), len(high)) - 1
    for i in range(last):
        # Python's integers are signed, so a 00 on the right side can't wrap around here.
        if low[i] < high[i] - 1:
            return _text(low[:i] + bytes([low[i] + (high[i] - low[i]) // 2]))
        if low[i] == high[i] - 1:
            return _text(low[: i + 1] + _core_after(low[i + 1 :]))
    # Equal up to the last byte of the shorter one; not of equal length, since left < right.
    if len(low) < len(high):
        return _text(high[: last + 1] + _core_before(high[last + 1 :]))
    return _text(low[: last + 1] + _core_after(low[last + 1 :]))


def place(positions: Sequence[str], index: int) -> Placement:
    """Find a position for something new at an index of a sorted list of positions.

    Normally the neighbours stay as they are. Where they leave no room, because they are equal (two
    peers inserted at the same place) or malformed (a peer wrote something else), the neighbours
    concerned get new positions as well, in the same order as before.
    Returns: the position, and the changed positions of others by index.
    """
    first = index
    while first > 0 and not is_position(positions[first - 1]):
        first -= 1
    left = positions[first - 1] if first > 0 else None
    end = index
    while end < len(positions) and not (
        is_position(positions[end]) and (left is None or positions[end] > left)
    ):
        end += 1
    right = positions[end] if end < len(positions) else None
    made: list[str] = []
    for _ in range(end - first + 1):
        left = _step(left, right)
        made.append(left)
    own = index - first
    moved = {first + i: made[i] for i in range(own)}
    moved.update({index + i: made[own + 1 + i] for i in range(end - index)})
    return made[own], moved


def _step(left: str | None, right: str | None) -> str:
    if left is None:
        return FIRST if right is None else before(right)
    if right is None:
        return after(left)
    found = between(left, right)
    assert found is not None, "left and right are positions in order"
    return found


def _core_before(digits: bytes) -> bytes:
    for i, digit in enumerate(digits):
        if digit > _MIDDLE:
            return digits[:i]
        if digit > 0:
            return digits[:i] + bytes([digit - 1])
    raise AssertionError("a position ends in 80")


def _core_after(digits: bytes) -> bytes:
    for i, digit in enumerate(digits):
        if digit < _MIDDLE:
            return digits[:i]
        if digit < 0xFF:
            return digits[:i] + bytes([digit + 1])
    raise AssertionError("a position ends in 80")


def _text(core: bytes) -> str:
    return core.hex().upper() + FIRST


def _digits(position: str) -> bytes:
    if is_position(position):
        return bytes.fromhex(position)
    length = 0
    while length < len(position) and position[length] in string.hexdigits:
        length += 1
    return bytes.fromhex(position[: length - length % 2]) + bytes([_MIDDLE])
