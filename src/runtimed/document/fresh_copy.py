"""A notebook document made anew from its content, without its history.

The library offers no way to forget history, so the content is copied: every key, object and scalar
as it is now, also those that nobody here knows. What no reader can see stays behind: deleted text,
the losers of conflicts, marks on text. Copying text takes time, so it goes in steps between which
the original may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs
from automerge.core import ROOT, Document, ObjType, ScalarType, Transaction

from runtimed.document.cell_values import change_text
from runtimed.document.guarded import elements, members
from runtimed.document.json_mapping import MAX_DEPTH, clean_text
from runtimed.document.notebook import NotebookDocument

__all__ = ["STEP", "FreshCopy", "fresh_copy"]

#: Operations of one step, some 10 to 20 ms. One change of the copy has as many.
STEP = 2000

# The order in which keys are created is part of the schema.
_ROOT_ORDER = ("schema_version", "notebook_id", "cells", "metadata")
_CELL_ORDER = (
    "id",
    "cell_type",
    "position",
    "source",
    "execution_count",
    "outputs",
    "metadata",
    "resolved_assets",
)


_DONE = object()

# Those that can be written as they are read.
_SCALARS = (
    ScalarType.Str,
    ScalarType.Int,
    ScalarType.Uint,
    ScalarType.F64,
    ScalarType.Boolean,
    ScalarType.Null,
    ScalarType.Bytes,
    ScalarType.Timestamp,
)


@attrs.frozen
class _Text:
    text: str


# A scalar of the library, a Text, a List or a Map.
_Tree: TypeAlias = "tuple[ScalarType, Any] | _Text | list[Any] | dict[str, Any]"
_Map: TypeAlias = "dict[str, Any]"


def fresh_copy(source: NotebookDocument, actor: bytes) -> NotebookDocument:
    """A copy with the content of a document, made at once."""
    copy = FreshCopy(source, actor)
    for _ in copy.steps():
        pass
    return copy.finished()


class FreshCopy:
    """A copy in the making. Nobody else may write to it before it is finished."""

    def __init__(self, source: NotebookDocument, actor: bytes, step: int = STEP) -> None:
        self._source = source
        self._document = Document(actor)
        self._writer = _Writer(step)
        self._root: _Map = {}
        self._cells: _Map = {}
        self._heads: list[str] = []

    def steps(self) -> Iterator[None]:
        """Bring the copy up to its original as it is now, a step each time.

        The original may be changed between steps: run it again for that, and for the last time
        with nothing in between.
        Cost: when run again, that of the cells that changed.
        """
        if self.is_level:
            return
        heads = self._source.heads
        root, cells = _read(self._source)
        work = self._write_differences(root, cells)
        while True:
            with self._document.transaction() as transaction:
                if self._writer.step(transaction, work):
                    break
            yield
        self._root, self._cells, self._heads = root, cells, heads

    @property
    def is_level(self) -> bool:
        """Whether the copy has all that its original has now."""
        return self._heads == self._source.heads

    def finished(self) -> NotebookDocument:
        """The copy. To be called when all steps are made."""
        return NotebookDocument(self._document)

    def _write_differences(self, root: _Map, cells: _Map) -> Iterator[None]:
        write = self._writer
        for key in self._root.keys() - root.keys():
            write.transaction.delete(ROOT, key)
        for key in _ordered(root, _ROOT_ORDER):
            if self._root.get(key) != root[key]:
                yield from write.put(ROOT, key, root[key])
        found = self._document.get(ROOT, "cells")
        if found is None or found[0] != ObjType.Map:
            return  # damaged in the original, too
        cells_object = found[1]
        for cell_id in self._cells.keys() - cells.keys():
            write.transaction.delete(cells_object, cell_id)
        for cell_id, cell in cells.items():
            old = self._cells.get(cell_id)
            if old is None or type(old) is not type(cell):
                yield from write.put(cells_object, cell_id, cell, _CELL_ORDER)
            elif old != cell:
                yield from self._write_changed(cells_object, cell_id, old, cell)

    def _write_changed(self, cells: bytes, cell_id: str, old: _Tree, cell: _Tree) -> Iterator[None]:
        found = self._document.get(cells, cell_id)
        if found is None or not isinstance(old, dict) or not isinstance(cell, dict):
            yield from self._writer.put(cells, cell_id, cell)
            return
        for key in old.keys() - cell.keys():
            self._writer.transaction.delete(found[1], key)
        for key in _ordered(cell, _CELL_ORDER):
            new, before = cell[key], old.get(key)
            if isinstance(new, _Text) and isinstance(before, _Text):
                text = self._document.get(found[1], key)
                assert text is not None
                change_text(self._document, self._writer.transaction, text[1], new.text)
            elif new != before:
                yield from self._writer.put(found[1], key, new)


class _Writer:
    """Writes trees. Whoever runs it gives it a new transaction for each step."""

    transaction: Transaction

    def __init__(self, step: int) -> None:
        self._step = self._left = step

    def step(self, transaction: Transaction, work: Iterator[None]) -> bool:
        """Do a step of work in a transaction. Returns whether it was the last one."""
        self.transaction = transaction
        self._left = self._step
        return next(work, _DONE) is _DONE

    def put(
        self, obj: bytes, key: str | int, tree: _Tree, order: tuple[str, ...] = ()
    ) -> Iterator[None]:
        """Put a tree under a key, or insert it at an index."""
        inserted = isinstance(key, int)
        if isinstance(tree, tuple):
            method = self.transaction.insert if inserted else self.transaction.put
            method(obj, key, tree[0], tree[1])  # type: ignore[arg-type]
            yield from self._did(1)
            return
        make = self.transaction.insert_object if inserted else self.transaction.put_object
        if isinstance(tree, _Text):
            child = make(obj, key, ObjType.Text)  # type: ignore[arg-type]
            yield from self._write_text(child, tree.text)
        elif isinstance(tree, list):
            child = make(obj, key, ObjType.List)  # type: ignore[arg-type]
            yield from self._did(1)
            for index, item in enumerate(tree):
                yield from self.put(child, index, item)
        else:
            child = make(obj, key, ObjType.Map)  # type: ignore[arg-type]
            yield from self._did(1)
            for member in _ordered(tree, order):
                yield from self.put(child, member, tree[member])

    def _write_text(self, obj: bytes, text: str) -> Iterator[None]:
        yield from self._did(1)
        at = 0
        while at < len(text):
            end = min(len(text), at + self._left)
            insert, kind = self.transaction.insert, ScalarType.Str
            for index in range(at, end):
                insert(obj, index, kind, text[index])
            yield from self._did(end - at)
            at = end

    def _did(self, operations: int) -> Iterator[None]:
        self._left -= operations
        if self._left <= 0:
            yield  # a new transaction and new strength


def _read(source: NotebookDocument) -> tuple[_Map, _Map]:
    """The root without its cells, and the cells in their order."""
    document = source.library_document
    root = _read_map(document, ROOT, 0, skipped="cells")
    found = document.get(ROOT, "cells")
    if found is None or found[0] != ObjType.Map:
        return root, {}
    root["cells"] = {}
    cells = _read_map(document, found[1], 1)
    return root, {id_: cells[id_] for id_ in _ordered(cells, source.cell_ids())}


def _read_map(document: Document, obj: bytes, depth: int, skipped: str | None = None) -> _Map:
    result: _Map = {}
    for key, (value, child) in members(document, obj):
        if key and key != skipped:
            tree = _read_value(document, value, child, depth)
            if tree is not None:
                result[key] = tree
    return result


def _read_value(document: Document, value: Any, child: bytes, depth: int) -> _Tree | None:
    """A value as a tree; None for what can't be read, and so not be copied either."""
    if isinstance(value, tuple):
        kind, scalar = value
        if kind == ScalarType.Bytes:
            scalar = bytes(scalar)  # the library reads a list
        return (kind, scalar) if kind in _SCALARS else None
    if value == ObjType.Text:
        return _Text(clean_text(document.text(child)))
    if depth >= MAX_DEPTH + 3:  # of metadata, which is three deep itself
        return None
    if value == ObjType.List:
        trees = [_read_value(document, *item, depth + 1) for item in elements(document, child)]
        # A place in a list is kept: what stands behind must not move up.
        return [(ScalarType.Null, None) if tree is None else tree for tree in trees]
    return _read_map(document, child, depth + 1)


def _ordered(tree: Mapping[str, Any], order: Any) -> list[str]:
    """The keys of a map: those that have their place first, then the others."""
    first = [key for key in order if key in tree]
    placed = set(first)
    return first + [key for key in tree if key not in placed]
