"""Three versions of a text made one: what both sides changed since their common base.

Works like concurrent edits of a shared text: what either side deleted is gone, what either side
inserted is there. Compares by words, so that a word that somebody wrote stays whole and letters
that two texts share by chance join nothing. Knows nothing of documents.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from runtimed.document.text_edits import Edit

__all__ = ["merge_texts"]

_WORDS = re.compile(r"\w+|\n|[^\S\n]+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_GLUED = re.compile(r"\w\w")
_WORD_CHARACTER = re.compile(r"\w")

# A comparison of n by m elements takes n * m bits: beyond this product lines are compared.
_LARGEST_PRODUCT = 1 << 24


def merge_texts(base: str | None, ours: str, theirs: str) -> str:
    """What a text becomes when two sides have changed it since `base`.

    Order: at one place, our insertion stands before theirs; what both inserted alike is there once.
    Special cases: without a base, nothing that either side has is deleted, and what both have is
    there once.
    """
    if ours == theirs or theirs == base:
        return ours
    if ours == base:
        return theirs
    if base is None:
        return "".join(_united(ours, _word_edits(ours, theirs)))
    our_edits, their_edits = _word_edits(base, ours), _word_edits(base, theirs)
    return "".join(_merged(base, _joined_edits(base, our_edits), _joined_edits(base, their_edits)))


def _united(ours: str, edits: Sequence[Edit]) -> Iterator[str]:
    """What both have, and where one side has more, that. Words of two sides are kept apart."""
    at = 0
    before = ""
    for edit in (*edits, Edit(len(ours), 0, "")):
        end = edit.index + edit.delete
        for part in (ours[at : edit.index], ours[edit.index : end], edit.insert):
            if before and part and _GLUED.match(before[-1] + part[0]):
                yield "\n"
            yield part
            before = part or before
        at = end


def _merged(base: str, ours: Sequence[Edit], theirs: Sequence[Edit]) -> Iterator[str]:
    our_inserts = {edit.index: edit.insert for edit in ours if edit.insert}
    their_inserts = {edit.index: edit.insert for edit in theirs if edit.insert}
    depth: dict[int, int] = {}  # where a stretch that somebody deleted begins and ends
    for edit in (*ours, *theirs):
        depth[edit.index] = depth.get(edit.index, 0) + 1
        end = edit.index + edit.delete
        depth[end] = depth.get(end, 0) - 1
    at = deleted = 0
    for place in sorted(depth):
        if not deleted:
            yield base[at:place]
        yield _joined(our_inserts.get(place, ""), their_inserts.get(place, ""))
        deleted += depth[place]
        at = place
    yield base[at:]


def _joined(ours: str, theirs: str) -> str:
    if ours.endswith(theirs):  # alike, or merged before
        return ours
    return theirs if theirs.startswith(ours) else ours + theirs


def _word_edits(old: str, new: str) -> list[Edit]:
    """Edits from one text to another that take or leave whole words; ascending, apart."""
    for elements in (_WORDS, _LINES):
        before, after = elements.findall(old), elements.findall(new)
        if len(before) * len(after) <= _LARGEST_PRODUCT:
            return list(_element_edits(before, after))
    return [Edit(0, len(old), new)]


def _element_edits(before: Sequence[str], after: Sequence[str]) -> Iterator[Edit]:
    from rapidfuzz.distance import Indel  # 20 ms to import, and most texts have one editor

    edits: list[tuple[int, int, Sequence[str]]] = []
    limit = len(before)
    for op in reversed([op for op in Indel.opcodes(before, after) if op.tag != "equal"]):
        edit = _last_place(
            before, op.src_start, op.src_end, after[op.dest_start : op.dest_end], limit
        )
        edits.append(edit)
        limit = edit[0]
    at = done = 0
    for start, end, inserted in reversed(edits):
        at += sum(map(len, before[done:start]))
        deleted = sum(map(len, before[start:end]))
        yield Edit(at, deleted, "".join(inserted))
        at, done = at + deleted, end


def _last_place(
    before: Sequence[str], start: int, end: int, inserted: Sequence[str], limit: int
) -> tuple[int, int, Sequence[str]]:
    """Where an edit among its like may have been: the last such place, as for a line at the end.

    So two comparisons with one text agree about it.
    """
    if start == end:
        new = deque(inserted)
        while end < limit and before[end] == new[0]:
            new.rotate(-1)
            start = end = end + 1
        return start, end, list(new)
    if not inserted:
        while end < limit and before[end] == before[start]:
            start, end = start + 1, end + 1
    return start, end, inserted


def _joined_edits(old: str, edits: Iterable[Edit]) -> list[Edit]:
    """Join edits that have no word between them: the signs there are equal by chance."""
    joined: list[Edit] = []
    for edit in edits:
        if joined:
            last = joined[-1]
            between = old[last.index + last.delete : edit.index]
            if not _WORD_CHARACTER.search(between):
                joined[-1] = Edit(
                    last.index,
                    edit.index + edit.delete - last.index,
                    last.insert + between + edit.insert,
                )
                continue
        joined.append(edit)
    return joined
