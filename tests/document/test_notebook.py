"""Notebook documents: cells and their parts, as one writer sees them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType

from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.errors import CellNotFound, DocumentUnreadable, RuntimedError


@pytest.fixture
def doc() -> NotebookDocument:
    return NotebookDocument.create("nb", daemon_actor())


def changes(doc: NotebookDocument) -> int:
    return len(doc._doc.get_changes([]))


def operations(doc: NotebookDocument) -> int:
    """How many operations the newest change has."""
    return len(doc._doc.get_changes([])[-1])


def damaged(edit: Any) -> NotebookDocument:
    """A document with one cell `c`, changed behind our back: edit(transaction, cell)."""
    doc = NotebookDocument.create("nb", daemon_actor())
    doc.insert_cell("c", "code", "x = 1")
    raw = Document.load(doc.save())
    cells = raw.get(ROOT, "cells")
    assert cells is not None
    cell = raw.get(cells[1], "c")
    assert cell is not None
    with raw.transaction() as t:
        edit(t, cell[1])
    return NotebookDocument.load(raw.save(), daemon_actor())


def kind_tree(doc: Document, obj: bytes = ROOT) -> Any:
    """The types in a document, by key."""
    tree = {}
    for key in doc.keys(obj):
        found = doc.get(obj, key)
        assert found is not None
        value, child = found
        tree[key] = kind_tree(doc, child) if value == ObjType.Map else value
    return tree


# The schema


def test_a_new_document_has_exactly_the_types_of_the_schema(doc: NotebookDocument) -> None:
    doc.load_cells([NewCell("c", "code", "x = 1", 3, ["ab" * 32], {"tags": ["t"], "n": 1})])
    doc.set_resolved_assets("c", {"a.png": "cd" * 32})
    text = (ScalarType.Str, "")[0]
    assert kind_tree(Document.load(doc.save())) == {
        "schema_version": (ScalarType.Uint, 2),
        "notebook_id": (text, "nb"),
        "metadata": {"runtime": (text, "python")},
        "cells": {
            "c": {
                "id": (text, "c"),
                "cell_type": (text, "code"),
                "position": (text, "80"),
                "source": ObjType.Text,
                "execution_count": (text, "3"),
                "outputs": ObjType.List,
                "metadata": {"tags": ObjType.List, "n": (ScalarType.Int, 1)},
                "resolved_assets": {"a.png": (text, "cd" * 32)},
            }
        },
    }


def test_keys_are_created_in_the_order_of_the_schema(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code", "x")
    made = {}
    raw = doc._doc
    for key in raw.keys(ROOT):
        found = raw.get(ROOT, key)
        assert found is not None
        made[key] = found[1][-1]
    assert sorted(made, key=lambda key: made[key]) == [
        "schema_version",
        "notebook_id",
        "cells",
        "metadata",
    ]


# Order


def test_cells_go_where_they_are_told(doc: NotebookDocument) -> None:
    assert doc.insert_cell("b", "code") == "80"
    assert doc.insert_cell("d", "code") == "8180"
    assert doc.insert_cell("a", "code", index=0) == "7F80"
    assert doc.insert_cell("c", "code", index=2) == "817F80"
    assert doc.insert_cell("z", "code", index=99) == "8280"
    assert doc.insert_cell("0", "code", index=-5) == "7E80"
    assert doc.cell_ids() == ["0", "a", "b", "c", "d", "z"]
    doc.insert_cell_after("b2", "markdown", "text", "b")
    doc.insert_cell_after("first", "raw", "", None)
    doc.insert_cell_after("last", "code", "", "nobody")
    assert doc.cell_ids() == ["first", "0", "a", "b", "b2", "c", "d", "z", "last"]
    assert len(doc) == 9
    assert "b2" in doc
    assert "nobody" not in doc


def test_moving_changes_the_position_and_nothing_else(doc: NotebookDocument) -> None:
    for cell_id in "abcd":
        doc.insert_cell(cell_id, "code", cell_id * 3)
    assert doc.move_cell("a", "c") == doc.position("a") == "828180"
    assert doc.cell_ids() == ["b", "c", "a", "d"]
    assert operations(doc) == 1
    doc.move_cell("d", None)
    doc.move_cell("b", "nobody")
    assert doc.cell_ids() == ["d", "c", "a", "b"]
    assert doc.source("a") == "aaa"


def test_moving_a_cell_to_where_it_is_changes_nothing(doc: NotebookDocument) -> None:
    for cell_id in "abc":
        doc.insert_cell(cell_id, "code")
    heads = doc.heads
    for cell_id, after in [("a", None), ("b", "a"), ("c", "b"), ("b", "b"), ("c", "nobody")]:
        assert doc.move_cell(cell_id, after) == doc.position(cell_id)
    assert doc.heads == heads


def test_equal_positions_make_room_for_a_cell_between_them() -> None:
    doc = damaged(lambda t, cell: t.put(cell, "position", ScalarType.Str, "8180"))
    doc.insert_cell("d", "code")
    doc._set_position("d", "8180")  # as another peer may have inserted it
    doc.insert_cell("e", "code")
    doc._set_position("e", "8180")
    assert doc.cell_ids() == ["c", "d", "e"]
    doc.insert_cell_after("x", "code", "", "c")
    assert doc.cell_ids() == ["c", "x", "d", "e"]
    doc.move_cell("e", "x")
    assert doc.cell_ids() == ["c", "x", "e", "d"]
    assert NotebookDocument.load(doc.save(), b"again").cell_ids() == doc.cell_ids()


def test_a_malformed_position_is_repaired_when_something_goes_beside_it() -> None:
    doc = damaged(lambda t, cell: t.put(cell, "position", ScalarType.Str, "not hex"))
    doc.insert_cell("d", "code")
    doc.insert_cell("b", "code", index=0)
    assert doc.cell_ids() == ["b", "c", "d"]
    assert [cell.position for cell in doc.cells()] == sorted(c.position for c in doc.cells())


def test_random_inserts_and_moves_keep_the_order_asked_for(doc: NotebookDocument) -> None:
    generator = random.Random(4)
    expected: list[str] = []
    for i in range(400):
        if len(expected) < 3 or generator.random() < 0.6:
            at = generator.randint(0, len(expected))
            doc.insert_cell(f"c{i}", "code", index=at)
            expected.insert(at, f"c{i}")
        elif generator.random() < 0.2:
            doc.delete_cell(expected.pop(generator.randrange(len(expected))))
        else:
            moved = expected.pop(generator.randrange(len(expected)))
            at = generator.randint(0, len(expected))
            doc.move_cell(moved, expected[at - 1] if at else None)
            expected.insert(at, moved)
        assert doc.cell_ids() == expected
    assert NotebookDocument.load(doc.save(), daemon_actor()).cell_ids() == expected


# Parts


def test_a_cell_is_read_as_it_was_made(doc: NotebookDocument) -> None:
    metadata = {"tags": ["a"], "jupyter": {"source_hidden": True}}
    doc.load_cells([NewCell("c", "code", "é = '🙂'", 7, ["o1", "o2"], metadata)])
    doc.set_resolved_assets("c", {"a.png": "ab"})
    cell = doc.cell("c")
    assert (cell.id, cell.cell_type, cell.position) == ("c", "code", "80")
    assert (cell.source, cell.execution_count, cell.outputs) == ("é = '🙂'", 7, ("o1", "o2"))
    assert (cell.metadata, cell.resolved_assets) == (metadata, {"a.png": "ab"})
    assert doc.cells() == [cell]
    assert doc.resolved_assets("c") == {"a.png": "ab"}


def test_source_is_changed_by_minimal_edits(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code", "value = '🙂' + 1\nprint(value)")
    doc.set_source("c", "value = '🙂' + 2\nprint(value)")
    assert doc.source("c") == "value = '🙂' + 2\nprint(value)"
    assert operations(doc) == 2
    before = doc.heads
    doc.set_source("c", "value = '🙂' + 2\nprint(value)")
    assert doc.heads == before
    doc.append_source("c", "\n🙂é")
    assert doc.source("c").endswith("print(value)\n🙂é")
    doc.set_source("c", "")
    assert doc.source("c") == ""


def test_source_takes_text_that_utf_8_cannot_express(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code", "a\ud800")
    assert doc.source("c") == "a\ufffd"
    doc.set_source("c", "\udfffb")
    assert doc.source("c") == "\ufffdb"


def test_a_source_of_odd_elements_can_still_be_edited() -> None:
    def odd(t: Any, cell: bytes) -> None:
        text = t.put_object(cell, "source", ObjType.Text)
        t.insert(text, 0, ScalarType.Str, "many characters")
        t.insert(text, 1, ScalarType.Str, "")
        t.insert(text, 2, ScalarType.Int, 1)
        t.insert(text, 3, ScalarType.Str, "z")

    doc = damaged(odd)
    assert doc.source("c") == "many characters\ufffcz"
    doc.set_source("c", "many more characters")
    assert doc.source("c") == "many more characters"
    doc = damaged(odd)
    doc.append_source("c", "!")
    assert doc.source("c") == "many characters\ufffcz!"


def test_outputs_are_changed_entry_by_entry(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code")
    doc.set_outputs("c", ["a", "b", "c"])
    doc.set_outputs("c", ["a", "x", "c", "d"])
    assert operations(doc) == 2
    assert doc.outputs("c") == ["a", "x", "c", "d"]
    doc.set_outputs("c", ["a"])
    assert operations(doc) == 3
    doc.append_output("c", "e")
    doc.replace_output("c", 0, "f")
    assert doc.outputs("c") == list(doc.cell("c").outputs) == ["f", "e"]
    heads = doc.heads
    doc.replace_output("c", 0, "f")
    doc.set_outputs("c", ["f", "e"])
    assert doc.heads == heads
    with pytest.raises(IndexError):
        doc.replace_output("c", 2, "g")
    doc.clear_outputs("c")
    assert doc.outputs("c") == []
    assert NotebookDocument.load(doc.save(), b"again").outputs("c") == []


def test_appending_an_output_is_one_operation_however_many_there_are(
    doc: NotebookDocument,
) -> None:
    doc.insert_cell("c", "code")
    outputs = [str(i) for i in range(500)]
    doc.set_outputs("c", outputs)
    doc.set_outputs("c", [*outputs, "new"])
    assert operations(doc) == 1
    # also in a document that has only just been loaded, and for more cells than are remembered
    doc = NotebookDocument.load(doc.save(), b"again")
    for i in range(40):
        doc.insert_cell(f"c{i}", "code")
        doc.append_output(f"c{i}", "x")
    doc.append_output("c", "newer")
    assert doc.outputs("c") == [*outputs, "new", "newer"]


def test_counts_and_types_are_overwritten(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code")
    assert doc.execution_count("c") is None
    doc.set_execution_count("c", 12)
    assert doc.execution_count("c") == 12
    doc.set_execution_count("c", None)
    assert doc.execution_count("c") is None
    doc.set_cell_type("c", "markdown")
    assert doc.cell_type("c") == "markdown"


def test_cell_metadata_is_changed_leaf_by_leaf(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code")
    doc.set_cell_metadata("c", {"tags": ["a"], "jupyter": {"source_hidden": False}})
    doc.set_cell_metadata_at("c", ["jupyter", "source_hidden"], True)
    assert operations(doc) == 1
    doc.set_cell_metadata_at("c", ["tags", "deep"], 1)
    assert doc.cell_metadata("c") == {"tags": {"deep": 1}, "jupyter": {"source_hidden": True}}
    doc.set_cell_metadata("c", {})
    assert doc.cell_metadata("c") == {}
    for path in ([], ["a", ""]):
        with pytest.raises(RuntimedError, match="empty"):
            doc.set_cell_metadata_at("c", path, 1)
    assert doc.cell_metadata("c") == {}


def test_what_stands_in_the_way_of_a_path_gives_way_and_what_stands_beside_it_stays(
    doc: NotebookDocument,
) -> None:
    doc.insert_cell("c", "code")
    doc.set_cell_metadata("c", {"a": "text", "b": {"kept": 1}})
    doc.set_cell_metadata_at("c", ["a", "deep", "er"], [1])
    doc.set_cell_metadata_at("c", ["b", "new"], None)
    assert doc.cell_metadata("c") == {"a": {"deep": {"er": [1]}}, "b": {"kept": 1, "new": None}}
    with pytest.raises(RuntimedError, match="deeply"):
        doc.set_cell_metadata_at("c", ["x"] * 200, 1)


def test_an_object_in_the_metadata_is_made_only_once(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "code")
    for cell_id, path in [("c", ["jupyter"]), (None, ["runt", "uv"])]:
        assert doc.ensure_metadata(cell_id, path, {"x": 1})
        heads = doc.heads
        assert doc.has_metadata_object(cell_id, path)
        assert not doc.ensure_metadata(cell_id, path, {"x": 2})
        assert doc.heads == heads
    assert doc.metadata_at(["runt", "uv", "x"]) == 1
    assert doc.metadata_at(["runt", "conda", "x"]) is None
    with pytest.raises(CellNotFound):
        doc.ensure_metadata("no", ["a"], {})


def test_resolved_assets_are_changed_one_by_one(doc: NotebookDocument) -> None:
    doc.insert_cell("c", "markdown")
    doc.set_resolved_assets("c", {"a": "1", "b": "2"})
    doc.set_resolved_assets("c", {"a": "1", "b": "3", "c": "4"})
    assert operations(doc) == 2
    heads = doc.heads
    doc.set_resolved_assets("c", {"a": "1", "b": "3", "c": "4"})
    assert doc.heads == heads


def test_raw_metadata_is_strings_only(doc: NotebookDocument) -> None:
    assert doc.raw_metadata("mine") is None
    doc.set_raw_metadata("mine", '{"a":1}')
    assert doc.raw_metadata("mine") == '{"a":1}'
    doc.set_metadata_snapshot({"runt": {"schema_version": "1"}})
    assert doc.raw_metadata("runt") is None
    with pytest.raises(RuntimedError):
        doc.set_raw_metadata("runt", "x")
    with pytest.raises(RuntimedError):
        doc.set_raw_metadata("", "x")


# Errors


def test_unknown_cells_are_reported_by_name(doc: NotebookDocument) -> None:
    for call in (
        doc.cell,
        doc.source,
        doc.outputs,
        doc.delete_cell,
        doc.clear_outputs,
        doc.cell_metadata,
        lambda cell: doc.move_cell(cell, None),
        lambda cell: doc.set_source(cell, "x"),
        lambda cell: doc.append_source(cell, "x"),
        lambda cell: doc.append_output(cell, "x"),
        lambda cell: doc.set_execution_count(cell, 1),
        lambda cell: doc.set_cell_metadata(cell, {}),
        lambda cell: doc.set_resolved_assets(cell, {}),
    ):
        with pytest.raises(CellNotFound, match="Cell not found: ghost"):
            call("ghost")


def test_a_cell_cannot_be_made_twice_and_a_failed_load_leaves_nothing(
    doc: NotebookDocument,
) -> None:
    doc.insert_cell("c", "code")
    heads = doc.heads
    with pytest.raises(RuntimedError, match="Cell already exists: c"):
        doc.insert_cell("c", "code")
    with pytest.raises(RuntimedError, match="Cell already exists: c"):
        doc.load_cells([NewCell("new"), NewCell("c")])
    with pytest.raises(RuntimedError, match="can't hold"):
        doc.load_cells([NewCell("new"), NewCell("other", metadata={"x": object()})])
    with pytest.raises(RuntimedError, match="Not a cell id"):
        doc.insert_cell("", "code")
    assert doc.heads == heads
    assert doc.cell_ids() == ["c"]


# Batches


def test_a_batch_is_one_change(doc: NotebookDocument) -> None:
    before = changes(doc)
    with doc.batch():
        doc.insert_cell("a", "code")
        with doc.batch():
            doc.set_source("a", "x = 1")
        doc.append_output("a", "o")
        assert doc.cell("a").outputs == ("o",)
    assert changes(doc) == before + 1
    with doc.batch():
        pass
    assert changes(doc) == before + 1


def test_a_batch_that_fails_leaves_nothing(doc: NotebookDocument) -> None:
    doc.insert_cell("a", "code", "old")
    doc.append_output("a", "o")
    heads = doc.heads

    def edit_and_fail() -> None:
        with doc.batch():
            doc.insert_cell("b", "code")
            doc.set_source("a", "new")
            doc.append_output("a", "p")
            doc.move_cell("b", None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        edit_and_fail()
    assert doc.heads == heads
    assert doc.cell_ids() == ["a"]
    assert doc.source("a") == "old"
    assert doc.outputs("a") == ["o"]
    doc.append_output("a", "q")
    assert doc.outputs("a") == ["o", "q"]


def test_nothing_is_synced_or_saved_inside_a_batch(doc: NotebookDocument) -> None:
    peer = doc.new_peer()
    for call in (doc.save, lambda: doc.generate_sync(peer), lambda: doc.receive_sync(peer, b"")):
        with pytest.raises(RuntimeError), doc.batch():
            call()


# Replicas before their first sync


def test_an_empty_replica_answers_and_refuses_edits() -> None:
    doc = NotebookDocument.empty(client_actor("bot"))
    assert doc.heads == []
    assert doc.cell_ids() == []
    assert doc.cells() == []
    assert len(doc) == 0
    assert doc.notebook_id is None
    assert doc.metadata_snapshot() is None
    assert doc.raw_metadata("x") is None
    for edit in (
        lambda: doc.insert_cell("c", "code"),
        lambda: doc.set_metadata_snapshot({"runt": {"schema_version": "1"}}),
        lambda: doc.set_raw_metadata("k", "v"),
    ):
        with pytest.raises(RuntimedError, match="document not synced yet"):
            edit()
    with pytest.raises(CellNotFound):
        doc.set_source("c", "x")
    assert doc.heads == []


# Damaged documents


def test_missing_parts_read_as_their_defaults() -> None:
    def strip(t: Any, cell: bytes) -> None:
        for key in list(t.keys(cell)):
            if key != "id":
                t.delete(cell, key)

    doc = damaged(strip)
    cell = doc.cell("c")
    assert (cell.cell_type, cell.position, cell.source) == ("", "80", "")
    assert (cell.execution_count, cell.outputs) == (None, ())
    assert (cell.metadata, cell.resolved_assets) == ({}, {})
    doc.set_source("c", "x")
    doc.append_output("c", "o")
    doc.set_cell_metadata("c", {"a": 1})
    doc.set_resolved_assets("c", {"a": "b"})
    doc.set_execution_count("c", 1)
    cell = doc.cell("c")
    assert (cell.source, cell.outputs, cell.metadata) == ("x", ("o",), {"a": 1})


def test_text_where_a_string_should_be_reads_as_missing() -> None:
    def retype(t: Any, cell: bytes) -> None:
        for key in ("cell_type", "execution_count", "position"):
            t.insert(t.put_object(cell, key, ObjType.Text), 0, ScalarType.Str, "7")
        t.put(cell, "source", ScalarType.Str, "no text")
        outputs = t.put_object(cell, "outputs", ObjType.List)
        t.insert(outputs, 0, ScalarType.Int, 1)
        t.insert(outputs, 1, ScalarType.Str, "x")
        metadata = t.put_object(cell, "metadata", ObjType.Map)
        t.insert(t.put_object(metadata, "text", ObjType.Text), 0, ScalarType.Str, "7")

    cell = damaged(retype).cell("c")
    assert (cell.cell_type, cell.position, cell.source) == ("", "80", "")
    assert (cell.execution_count, cell.outputs) == (None, ("", "x"))
    assert cell.metadata == {"text": "7"}


def test_a_cell_whose_id_is_text_disappears() -> None:
    doc = damaged(lambda t, cell: t.put_object(cell, "id", ObjType.Text))
    assert doc.cell_ids() == []
    assert "c" not in doc
    with pytest.raises(CellNotFound):
        doc.cell("c")


@pytest.mark.parametrize("text", ["null", "", "x", "-1", "1.5", "٣", "9" * 30])
def test_an_execution_count_that_is_no_number_is_none(text: str) -> None:
    doc = damaged(lambda t, cell: t.put(cell, "execution_count", ScalarType.Str, text))
    assert doc.execution_count("c") is None


def test_metadata_of_old_documents_is_json_text_until_it_is_written() -> None:
    doc = damaged(lambda t, cell: t.put(cell, "metadata", ScalarType.Str, '{"tags": ["a"]}'))
    assert doc.cell_metadata("c") == {"tags": ["a"]}
    doc.set_cell_metadata_at("c", ["collapsed"], True)
    assert doc.cell_metadata("c") == {"tags": ["a"], "collapsed": True}
    for bad in ("[1]", "{", "1"):
        doc = damaged(lambda t, cell, bad=bad: t.put(cell, "metadata", ScalarType.Str, bad))
        assert doc.cell_metadata("c") == {}


# Versions


def test_heads_tell_versions_apart(doc: NotebookDocument) -> None:
    doc.insert_cell("a", "code")
    first = doc.heads
    doc.insert_cell("b", "code")
    assert doc.has_heads(first)
    assert doc.has_heads(doc.heads + first)
    assert doc.has_heads([])
    for absent in ("00" * 32, "not hex", "", "ab"):
        assert not doc.has_heads([absent])
        assert not doc.has_heads([*first, absent])
    loaded = NotebookDocument.load(doc.save(), b"again")
    assert loaded.has_heads(first)
    assert loaded.heads == doc.heads


def test_changes_behind_a_saved_base_make_the_same_document(doc: NotebookDocument) -> None:
    doc.insert_cell("a", "code", "x")
    base, heads = doc.save(), doc.heads
    doc.set_source("a", "y")
    doc.insert_cell("b", "code")
    assert doc.changes_since(doc.heads) == b""
    loaded = NotebookDocument.load(base + doc.changes_since(heads), b"again")
    assert loaded.cells() == doc.cells()
    assert loaded.heads == doc.heads


@pytest.mark.parametrize("data", [b"", b"junk", b"\x85\x6f\x4a\x83" + b"\0" * 30])
def test_what_is_no_document_cannot_be_loaded(data: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        NotebookDocument.load(data, daemon_actor())
