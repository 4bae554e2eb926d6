"""The smallest edits that turn one text into another, so that concurrent edits merge.

Counts in code points, as the document does. Knows nothing of documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

__all__ = ["Edit", "apply_edits", "minimal_edits"]

# A diff of n by m elements takes n * m bits: beyond this product (2 MiB) lines are compared first.
_LARGEST_PRODUCT = 1 << 24


@attrs.frozen
class Edit:
    """Replace `delete` code points at `index` of the old text by `insert`."""

    index: int
    delete: int
    insert: str


def minimal_edits(old: str, new: str) -> list[Edit]:
    """Find a short list of edits from one text to another.

    Order: ascending, not overlapping, every index counted in the old text; so apply the last first.
    """
    return list(_edits(old, new, 0))


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """Apply edits to the text they were made for."""
    for edit in reversed(edits):
        text = text[: edit.index] + edit.insert + text[edit.index + edit.delete :]
    return text


def _edits(old: str, new: str, offset: int) -> Iterator[Edit]:
    if old == new:
        return
    start = _common_prefix(old, new)
    old, new, offset = old[start:], new[start:], offset + start
    end = _common_prefix(old[::-1], new[::-1])
    if end:
        old, new = old[:-end], new[:-end]
    if not old or not new:
        yield Edit(offset, len(old), new)
    elif len(old) * len(new) <= _LARGEST_PRODUCT:
        for tag, i1, i2, j1, j2 in _joined(_opcodes(old, new)):
            if tag != "equal":
                yield Edit(offset + i1, i2 - i1, new[j1:j2])
    else:
        yield from _edits_by_line(old, new, offset)


def _edits_by_line(old: str, new: str, offset: int) -> Iterator[Edit]:
    old_lines, new_lines = old.split("\n"), new.split("\n")
    # split, not splitlines: only "\n" ends a line here, so that joining gives the text back
    old_lines = [line + "\n" for line in old_lines[:-1]] + old_lines[-1:]
    new_lines = [line + "\n" for line in new_lines[:-1]] + new_lines[-1:]
    if min(len(old_lines), len(new_lines)) < 2 or (
        len(old_lines) * len(new_lines) > _LARGEST_PRODUCT
    ):
        yield Edit(offset, len(old), new)
        return
    for tag, i1, i2, j1, j2 in _joined(_opcodes(old_lines, new_lines)):
        before = "".join(old_lines[i1:i2])
        if tag != "equal":
            after = "".join(new_lines[j1:j2])
            if len(before) * len(after) <= _LARGEST_PRODUCT:
                yield from _edits(before, after, offset)
            else:
                yield Edit(offset, len(before), after)
        offset += len(before)


_Opcode = tuple[str, int, int, int, int]


def _joined(opcodes: Sequence[_Opcode]) -> Iterator[_Opcode]:
    """Join neighbouring deletes and inserts, so that a changed line meets its old self."""
    pending: _Opcode | None = None
    for opcode in opcodes:
        if opcode[0] == "equal":
            if pending is not None:
                yield pending
                pending = None
            yield opcode
        elif pending is None:
            pending = opcode
        else:
            pending = ("replace", pending[1], opcode[2], pending[3], opcode[4])
    if pending is not None:
        yield pending


def _opcodes(old: Sequence[str], new: Sequence[str]) -> list[_Opcode]:
    from rapidfuzz.distance import Indel  # 20 ms to import, and most edits never get here

    return [
        (op.tag, op.src_start, op.src_end, op.dest_start, op.dest_end)
        for op in Indel.opcodes(old, new)
    ]


def _common_prefix(a: str, b: str) -> int:
    """How many first characters two texts share, by halving: slices compare at memory speed."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while low < high - 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low
