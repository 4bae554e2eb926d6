"""Which cells of a file are which cells of the document, for files that lose cell ids.

Files before nbformat 4.5 have none, and some editors drop them. Such cells are recognised by what
is in them, in order, so that one inserted above others leaves the identity of these alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from runtimed.document.ipynb import FileCell, file_cell_ids
from runtimed.document.three_way import CellState, NotebookState

__all__ = ["distance", "match_cells"]

#: From 0 to 1: how alike the sources of two cells are that are one cell, edited.
_ALIKE = 0.5

# Beyond this product of lengths two texts are compared by their lengths alone: a second's work.
_LARGEST_PRODUCT = 1 << 34


def match_cells(known: NotebookState, cells: Sequence[FileCell]) -> list[str]:
    """The document's id of each cell of a file; `known` is what the file was before.

    Special cases: a cell without an id that is like none is new; its id depends on its content, so
    that it is the same each time.
    """
    own = dict(
        zip(file_cell_ids([cell.id for cell in known.cells]), known.by_id, strict=True)
    )  # ids that no file can hold are spelled differently there
    found = [own.get(cell.id, cell.id) if cell.has_id else None for cell in cells]
    if not known.cells:
        return [cell.id for cell in cells]
    claimed = set(found)
    free = [cell for cell in known.cells if cell.id not in claimed]
    nameless = [i for i, cell_id in enumerate(found) if cell_id is None]
    for known_id, i in _pairs(free, nameless, cells):
        found[i] = known_id
    taken = {*known.by_id, *(cell_id for cell_id in found if cell_id is not None)}
    result = []
    for cell, cell_id in zip(cells, found, strict=True):
        if cell_id is None:
            cell_id = _new_id(cell, taken)
            taken.add(cell_id)
        result.append(cell_id)
    return result


def distance(a: NotebookState, b: Iterable[tuple[str, str]]) -> int:
    """How many characters were inserted and deleted between a state and cells (id, source).

    A cell that is on one side only counts as one character more than its text.
    """
    missing = dict(a.by_id)
    total = 0
    for cell_id, source in b:
        cell = missing.pop(cell_id, None)
        total += len(source) + 1 if cell is None else _text_distance(cell.source, source)
    return total + sum(len(cell.source) + 1 for cell in missing.values())


def _text_distance(a: str, b: str) -> int:
    if a == b:
        return 0
    if len(a) * len(b) > _LARGEST_PRODUCT:
        return abs(len(a) - len(b)) + 1
    from rapidfuzz.distance import Indel

    return int(Indel.distance(a, b))


def _pairs(
    known: Sequence[CellState], nameless: Sequence[int], cells: Sequence[FileCell]
) -> list[tuple[str, int]]:
    """Equal cells first; then, between these, cells that are alike, in order."""
    if not known or not nameless:
        return []
    from rapidfuzz.distance import Indel

    before = [f"{cell.cell_type}\n{cell.source}" for cell in known]
    after = [f"{cells[i].cell_type}\n{cells[i].source}" for i in nameless]
    pairs = []
    gap: tuple[list[int], list[int]] = ([], [])
    for op in Indel.opcodes(before, after):
        if op.tag != "equal":
            gap[0].extend(range(op.src_start, op.src_end))
            gap[1].extend(range(op.dest_start, op.dest_end))
            continue
        pairs += _alike(gap[0], gap[1], before, after)
        gap = ([], [])
        steps = op.src_end - op.src_start
        pairs += [(op.src_start + step, op.dest_start + step) for step in range(steps)]
    pairs += _alike(gap[0], gap[1], before, after)
    return [(known[k].id, nameless[n]) for k, n in pairs]


def _alike(
    old: Sequence[int], new: Sequence[int], before: Sequence[str], after: Sequence[str]
) -> list[tuple[int, int]]:
    from rapidfuzz.distance import Indel

    pairs = []
    rest = list(old)
    for n in new:
        for place, k in enumerate(rest):
            large = len(before[k]) * len(after[n]) > _LARGEST_PRODUCT
            if not large and Indel.normalized_similarity(before[k], after[n]) >= _ALIKE:
                pairs.append((k, n))
                del rest[: place + 1]  # in order: what was passed over is gone
                break
    return pairs


def _new_id(cell: FileCell, taken: set[str]) -> str:
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode("utf-8", "replace"))
    stem = candidate = f"cell-{digest.hexdigest()[:12]}"
    number = 1
    while candidate in taken:
        number += 1
        candidate = f"{stem}-{number}"
    return candidate
