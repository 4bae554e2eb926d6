"""A notebook's content at one moment, and three-way merging of such states.

What changed from one state to another is put into a document as the fewest edits, beside what
others have changed there since. Knows nothing of files: who brings a state says where it is from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from runtimed.document.attachments import Attachments
from runtimed.document.json_mapping import same
from runtimed.document.json_merge import merge_objects
from runtimed.document.notebook import CellSnapshot, NewCell, NotebookDocument, Touched
from runtimed.document.text_merge import merge_texts

__all__ = ["CellState", "NotebookState", "merge_into"]


@attrs.frozen
class CellState:
    """A cell's content. `outputs` and `attachments` are as in the document: entries, references."""

    id: str
    cell_type: str = "code"
    source: str = ""
    execution_count: int | None = None
    outputs: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    attachments: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, cell: CellSnapshot | NewCell) -> CellState:
        return cls(
            id=cell.id,
            cell_type=cell.cell_type,
            source=cell.source,
            execution_count=cell.execution_count,
            outputs=tuple(cell.outputs),
            metadata=cell.metadata,
            attachments=cell.attachments,
        )

    def new_cell(self) -> NewCell:
        """The cell as one to be added to a document."""
        return NewCell(
            id=self.id,
            cell_type=self.cell_type,
            source=self.source,
            execution_count=self.execution_count,
            outputs=self.outputs,
            metadata=dict(self.metadata),
            attachments=self.attachments,
        )


@attrs.frozen(slots=False)
class NotebookState:
    """A notebook's content: cells in order, the metadata snapshot, strings beside it.

    A snapshot of None is one that nobody knows: it changes nothing.
    """

    cells: tuple[CellState, ...] = ()
    snapshot: Mapping[str, Any] | None = None
    raw_metadata: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, document: NotebookDocument) -> NotebookState:
        """The state of a document as it is now."""
        return cls(
            cells=tuple(map(CellState.of, document.cells())),
            snapshot=document.metadata_snapshot(),
            raw_metadata=document.raw_metadata_strings(),
        )

    @cached_property
    def by_id(self) -> Mapping[str, CellState]:
        return {cell.id: cell for cell in self.cells}


def merge_into(
    document: NotebookDocument,
    base: NotebookState,
    theirs: NotebookState,
    *,
    running: Collection[str] = (),
) -> Touched:
    """Put what changed from `base` to `theirs` into a document, as one change.

    What the document has changed since `base` stays: where both changed one leaf, type or set of
    outputs, the document's is kept; texts have what either side inserted. An edit beats a deletion,
    so a cell that one side edited and the other deleted is there. Doing it again changes nothing.
    The outputs and execution counts of `running` cells are not touched, nor are these deleted.

    Returns: what was changed; false if nothing was.
    """
    changed: set[str] = set()
    ordered = False
    with document.batch():
        for cell in base.cells:
            if (
                cell.id in document
                and cell.id not in theirs.by_id
                and cell.id not in running
                and not _edited_in(document, cell)
            ):
                document.delete_cell(cell.id)
                changed.add(cell.id)
                ordered = True
        moved = _moved(
            [cell.id for cell in base.cells if cell.id in theirs.by_id],
            [cell.id for cell in theirs.cells if cell.id in base.by_id],
        )
        before: str | None = None
        for cell in theirs.cells:
            old = base.by_id.get(cell.id)
            if cell.id in document:
                if cell.id in moved and _move(document, cell.id, before):
                    changed.add(cell.id)
                    ordered = True
                if _differs(old, cell) and _merge_cell(document, old, cell, cell.id in running):
                    changed.add(cell.id)
            elif old is None or _edited(old, cell):
                document.insert_new_cell(cell.new_cell(), before)
                changed.add(cell.id)
                ordered = True
            else:
                continue  # deleted here
            before = cell.id
        metadata = _merge_metadata(document, base, theirs)
    return Touched(frozenset(changed), ordered, metadata)


def _edited(a: CellState, b: CellState) -> bool:
    """Whether the content differs. Outputs aren't edits."""
    return (
        a.source != b.source
        or a.cell_type != b.cell_type
        or not same(a.metadata, b.metadata)
        or a.attachments != b.attachments
    )


def _edited_in(document: NotebookDocument, base: CellState) -> bool:
    return (
        document.source(base.id) != base.source
        or document.cell_type(base.id) != base.cell_type
        or not same(document.cell_metadata(base.id), base.metadata)
        or document.attachments(base.id) != base.attachments
    )


def _differs(a: CellState | None, b: CellState) -> bool:
    return (
        a is None
        or _edited(a, b)
        or a.execution_count != b.execution_count
        or a.outputs != b.outputs
    )


def _move(document: NotebookDocument, cell_id: str, before: str | None) -> bool:
    position = document.position(cell_id)
    return document.move_cell(cell_id, before) != position


def _merge_cell(
    document: NotebookDocument, base: CellState | None, theirs: CellState, running: bool
) -> bool:
    """Bring what changed in one cell into the document; False if that was nothing."""
    cell_id = theirs.id
    changed = False
    source = document.source(cell_id)
    merged = merge_texts(None if base is None else base.source, source, theirs.source)
    if merged != source:
        document.set_source(cell_id, merged)
        changed = True
    if base is not None:
        kind = document.cell_type(cell_id)
        if theirs.cell_type != kind == base.cell_type:
            document.set_cell_type(cell_id, theirs.cell_type)
            changed = True
        if not running:
            changed |= _merge_outputs(document, base, theirs)
    metadata = document.cell_metadata(cell_id)
    merged_metadata = merge_objects(
        {} if base is None else base.metadata, metadata, theirs.metadata
    )
    if not same(merged_metadata, metadata):
        document.set_cell_metadata(cell_id, merged_metadata)
        changed = True
    attachments = document.attachments(cell_id)
    merged_attachments = _merged_attachments(
        {} if base is None else base.attachments, attachments, theirs.attachments
    )
    if merged_attachments != attachments:
        document.set_attachments(cell_id, merged_attachments)
        changed = True
    return changed


def _merged_attachments(
    base: Attachments, ours: Attachments, theirs: Attachments
) -> dict[str, dict[str, Any]]:
    """Merge by name and type; a reference is never mixed from two."""
    merged = {}
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        sides = [side.get(name, {}) for side in (base, ours, theirs)]
        bundle = merge_objects(*sides, leaves={key for side in sides for key in side})
        if bundle:
            merged[name] = bundle
    return merged


def _merge_outputs(document: NotebookDocument, base: CellState, theirs: CellState) -> bool:
    """Take their outputs and count, which belong together, if ours are what they were."""
    ours = (document.execution_count(base.id), tuple(document.outputs(base.id)))
    new = (theirs.execution_count, theirs.outputs)
    if new == ours or ours != (base.execution_count, base.outputs):
        return False
    document.set_execution_count(base.id, theirs.execution_count)
    document.set_outputs(base.id, theirs.outputs)
    return True


def _merge_metadata(document: NotebookDocument, base: NotebookState, theirs: NotebookState) -> bool:
    changed = False
    if theirs.snapshot is not None:
        ours = document.metadata_snapshot()
        # In parts, a kernelspec might name one kernel and describe another.
        merged = merge_objects(
            base.snapshot or {}, ours or {}, theirs.snapshot, leaves=("kernelspec",)
        )
        if not same(merged, ours or {}):
            document.set_metadata_snapshot(merged)
            changed = True
    for key, value in theirs.raw_metadata.items():
        before, now = base.raw_metadata.get(key), document.raw_metadata(key)
        if value != before and value != now and now == before:
            document.set_raw_metadata(key, value)
            changed = True
    return changed


def _moved(old: Sequence[str], new: Sequence[str]) -> set[str]:
    """The fewest elements to move so that the old order of the same elements is the new one."""
    if old == new:
        return set()
    rank = {element: i for i, element in enumerate(old)}
    stay = _longest_increasing(rank[element] for element in new)
    return {element for element in new if rank[element] not in stay}


def _longest_increasing(numbers: Iterable[int]) -> set[int]:
    """The members of a longest increasing subsequence of different numbers."""
    ends: list[int] = []  # the smallest end of a subsequence, by length
    before: dict[int, int | None] = {}
    for number in numbers:
        at = bisect_left(ends, number)
        before[number] = ends[at - 1] if at else None
        ends[at : at + 1] = [number]
    found: set[int] = set()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found
