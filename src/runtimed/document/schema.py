"""The root of a notebook document: making it, and bringing older documents up to date.

Schema version 2; the order in which keys are created is part of it.
"""

from __future__ import annotations

import orjson
from automerge.core import ROOT, Document, ObjType, ScalarType, Transaction

from runtimed.document import positions
from runtimed.document.cell_values import (
    count_text,
    insert_text,
    part,
    read_count,
    read_metadata,
    read_source,
    read_str,
    read_strings,
)
from runtimed.document.guarded import elements, get
from runtimed.errors import DocumentTooNew

__all__ = ["SCHEMA_VERSION", "create_root", "upgrade"]

SCHEMA_VERSION = 2


def create_root(t: Transaction, notebook_id: str) -> None:
    """Make the root of a new document. Only its first author may: two roots would be a conflict."""
    t.put(ROOT, "schema_version", ScalarType.Uint, SCHEMA_VERSION)
    t.put(ROOT, "notebook_id", ScalarType.Str, notebook_id)
    t.put_object(ROOT, "cells", ObjType.Map)
    _create_metadata(t)


def upgrade(doc: Document) -> None:
    """Bring a document that was loaded from storage to the current schema, in one change.

    Special cases: nothing happens to a document that is up to date; what the root lacks is made,
    because a document without a place for cells could never be used again.
    Raises: DocumentTooNew if the document is of a later schema.
    """
    version = _version(doc)
    if version > SCHEMA_VERSION:
        raise DocumentTooNew(
            f"The document has schema version {version}, and this version of runtimed reads up to "
            f"{SCHEMA_VERSION}: upgrade runtimed to open it"
        )
    cells = get(doc, ROOT, "cells")
    metadata = get(doc, ROOT, "metadata")
    with doc.transaction() as t:
        if cells is not None and cells[0] == ObjType.List:
            _cells_from_list(doc, t, cells[1])
        elif cells is None or cells[0] != ObjType.Map:
            t.put_object(ROOT, "cells", ObjType.Map)
        if metadata is None or metadata[0] != ObjType.Map:
            _create_metadata(t)
        if version < SCHEMA_VERSION:
            t.put(ROOT, "schema_version", ScalarType.Uint, SCHEMA_VERSION)


def _version(doc: Document) -> int:
    found = get(doc, ROOT, "schema_version")
    if found is None or not isinstance(found[0], tuple):
        return 1
    kind, value = found[0]
    return int(str(value)) if kind in (ScalarType.Uint, ScalarType.Int) else 1


def _create_metadata(t: Transaction) -> None:
    metadata = t.put_object(ROOT, "metadata", ObjType.Map)
    t.put(metadata, "runtime", ScalarType.Str, "python")


def _cells_from_list(doc: Document, t: Transaction, old: bytes) -> None:
    """Schema 1 kept cells in a List; their place in it becomes their position."""
    listed = [child for value, child in elements(doc, old) if value == ObjType.Map]
    cells = t.put_object(ROOT, "cells", ObjType.Map)
    position: str | None = None
    seen = set()
    for cell in listed:
        cell_id = read_str(doc, cell, "id")
        if not cell_id or cell_id in seen:
            continue
        seen.add(cell_id)
        position = positions.FIRST if position is None else positions.after(position)
        outputs = read_strings(doc, part(doc, cell, "outputs", ObjType.List))
        metadata = read_metadata(doc, cell)
        new = t.put_object(cells, cell_id, ObjType.Map)
        t.put(new, "id", ScalarType.Str, cell_id)
        t.put(new, "cell_type", ScalarType.Str, read_str(doc, cell, "cell_type") or "")
        t.put(new, "position", ScalarType.Str, position)
        insert_text(t, t.put_object(new, "source", ObjType.Text), 0, read_source(doc, cell))
        t.put(new, "execution_count", ScalarType.Str, count_text(read_count(doc, cell)))
        target = t.put_object(new, "outputs", ObjType.List)
        for i, output in enumerate(outputs):
            t.insert(target, i, ScalarType.Str, output)
        if metadata:
            t.put(new, "metadata", ScalarType.Str, orjson.dumps(metadata).decode())
