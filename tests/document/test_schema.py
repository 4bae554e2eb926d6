"""Older and later schemas of stored documents."""

from __future__ import annotations

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType

from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import DocumentTooNew, DocumentUnreadable


def old_document() -> bytes:
    """A schema 1 document: cells in a List."""
    doc = Document(b"old")
    with doc.transaction() as t:
        t.put(ROOT, "notebook_id", ScalarType.Str, "nb")
        cells = t.put_object(ROOT, "cells", ObjType.List)
        for i, name in enumerate(["zeta", "alpha"]):
            cell = t.insert_object(cells, i, ObjType.Map)
            t.put(cell, "id", ScalarType.Str, name)
            t.put(cell, "cell_type", ScalarType.Str, "code")
            source = t.put_object(cell, "source", ObjType.Text)
            for at, character in enumerate("é = 1"):
                t.insert(source, at, ScalarType.Str, character)
            t.put(cell, "execution_count", ScalarType.Str, "4")
            t.insert(t.put_object(cell, "outputs", ObjType.List), 0, ScalarType.Str, "out")
            metadata = t.put_object(cell, "metadata", ObjType.Map)
            t.put(metadata, "collapsed", ScalarType.Boolean, True)
    return doc.save()


def test_a_document_of_schema_1_is_brought_up_to_date() -> None:
    doc = NotebookDocument.load(old_document(), daemon_actor())
    assert doc.cell_ids() == ["zeta", "alpha"]
    cell = doc.cell("alpha")
    assert (cell.position, cell.source, cell.execution_count) == ("8180", "é = 1", 4)
    assert (cell.outputs, cell.metadata) == (("out",), {"collapsed": True})
    assert doc._doc.get(ROOT, "schema_version") is not None
    doc.insert_cell("new", "code")
    doc.set_metadata_snapshot({"runt": {"schema_version": "1"}})
    assert doc.cell_ids() == ["zeta", "alpha", "new"]


def test_bringing_up_to_date_a_second_time_changes_nothing() -> None:
    first = NotebookDocument.load(old_document(), daemon_actor())
    second = NotebookDocument.load(first.save(), daemon_actor())
    assert second.heads == first.heads


@pytest.mark.parametrize("kind", [ScalarType.Int, ScalarType.Uint])
def test_a_later_schema_is_refused(kind: ScalarType) -> None:
    doc = Document(b"new")
    with doc.transaction() as t:
        t.put(ROOT, "schema_version", kind, 3)
        t.put_object(ROOT, "cells", ObjType.Map)
    with pytest.raises(DocumentTooNew, match=r"schema version 3, .* upgrade runtimed"):
        NotebookDocument.load(doc.save(), daemon_actor())


def test_a_document_without_a_place_for_cells_gets_one() -> None:
    doc = Document(b"odd")
    with doc.transaction() as t:
        t.put(ROOT, "cells", ScalarType.Str, "no map")
    loaded = NotebookDocument.load(doc.save(), daemon_actor())
    loaded.insert_cell("c", "code")
    assert loaded.cell_ids() == ["c"]
    loaded.set_metadata_snapshot({"runt": {"schema_version": "1"}})


def test_a_document_that_can_not_be_brought_up_to_date_is_unreadable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(document: Document) -> None:
        raise KeyError("what nobody thought of")

    monkeypatch.setattr("runtimed.document.notebook.upgrade", fail)
    with pytest.raises(DocumentUnreadable, match="damaged"):
        NotebookDocument.load(old_document(), daemon_actor())
