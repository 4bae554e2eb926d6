"""A document made anew has the content of its original, and nothing of its past."""

from __future__ import annotations

from typing import Any

from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.fresh_copy import FreshCopy, fresh_copy
from runtimed.document.notebook import NewCell, NotebookDocument


def whole(doc: NotebookDocument) -> Any:
    """Everything a reader can see, with the types of the library."""
    return tree(doc.library_document, ROOT)


def tree(doc: Document, obj: bytes) -> Any:
    if doc.object_type(obj) == ObjType.Text:
        return doc.text(obj)
    keys: Any = doc.keys(obj)
    if doc.object_type(obj) == ObjType.List:
        keys = range(doc.length(obj))
    found = {key: doc.get(obj, key) for key in keys}
    return {
        key: tree(doc, item[1]) if isinstance(item[0], ObjType) else item[0]
        for key, item in found.items()
        if item is not None
    }


def filled() -> NotebookDocument:
    doc = NotebookDocument.create("nb", daemon_actor())
    doc.load_cells(
        [
            NewCell(
                "b", "code", "x = 1\nä 🦊", 3, ["ab" * 32, "cd" * 32], {"tags": ["t"], "n": 1.5}
            ),
            NewCell("a", "markdown", "# title", metadata={"deep": {"er": [1, {"x": None}]}}),
        ]
    )
    doc.set_resolved_assets("a", {"a.png": "ef" * 32})
    doc.set_metadata_snapshot({"runt": {"schema_version": "1", "uv": {"dependencies": ["x"]}}})
    doc.set_raw_metadata("note", "text")
    return doc


def test_a_copy_has_the_same_content_and_a_short_history() -> None:
    doc = filled()
    for number in range(300):
        doc.set_source("b", f"x = {number}")
    doc.move_cell("a", None)
    copy = fresh_copy(doc, daemon_actor())
    assert whole(copy) == whole(doc)
    assert copy.cells() == doc.cells()
    assert copy.cell_ids() == ["a", "b"]
    assert copy.metadata_snapshot() == doc.metadata_snapshot()
    assert (doc.changes, copy.changes) == (306, 1)
    assert len(copy.save()) < len(doc.save())


def test_a_copy_is_written_in_the_order_of_the_schema() -> None:
    """The operations' numbers tell in which order keys were made."""
    doc = NotebookDocument.create("nb", daemon_actor())
    doc.load_cells([NewCell("b", "code", "x", 3), NewCell("a", "raw", "y", 4)])
    copy = fresh_copy(doc, daemon_actor())
    created = [doc.library_document.get_changes([])[0], doc.library_document.get_changes([])[1]]
    assert sum(len(change) for change in created) == len(copy.library_document.get_changes([])[0])
    objects = [
        key
        for document in (doc, copy)
        for key in _made_order(document.library_document)
    ]  # fmt: skip
    assert objects[: len(objects) // 2] == objects[len(objects) // 2 :]


def _made_order(doc: Document) -> list[str]:
    from runtimed.document.changes import touched

    return [
        f"{made.key}"
        for change in doc.get_changes([])
        for made in touched(change.raw_bytes).made
    ]  # fmt: skip


def test_what_nobody_here_knows_is_copied_too() -> None:
    doc = filled()
    raw = doc.library_document
    cells = raw.get(ROOT, "cells")
    assert cells is not None
    cell = raw.get(cells[1], "a")
    assert cell is not None
    with raw.transaction() as t:
        t.put(ROOT, "later", ScalarType.F64, 0.5)
        attachments = t.put_object(cell[1], "attachments", ObjType.Map)
        t.put(attachments, "raw", ScalarType.Bytes, b"\x00\xff")
        listed = t.put_object(attachments, "list", ObjType.List)
        t.insert(listed, 0, ScalarType.Uint, 2**64 - 1)
        text = t.insert_object(listed, 1, ObjType.Text)
        t.insert(text, 0, ScalarType.Str, "t")
        odd = t.put_object(cells[1], "no cell", ObjType.Map)
        t.put(odd, "something", ScalarType.Boolean, True)
        t.put(cells[1], "no map", ScalarType.Null, None)
    copy = fresh_copy(NotebookDocument(raw), daemon_actor())
    assert whole(copy) == tree(raw, ROOT)


def test_a_copy_can_be_saved_loaded_and_synced() -> None:
    copy = fresh_copy(filled(), daemon_actor())
    assert NotebookDocument.load(copy.save(), daemon_actor()).cells() == copy.cells()
    replica = NotebookDocument.empty(client_actor())
    ours, theirs = copy.new_peer(), replica.new_peer()
    for _ in range(10):
        if (message := copy.generate_sync(ours)) is not None:
            replica.receive_sync(theirs, message)
        if (message := replica.generate_sync(theirs)) is not None:
            copy.receive_sync(ours, message)
    assert replica.cells() == copy.cells()
    replica.append_source("a", "more")
    copy.receive_sync(ours, replica.generate_sync(theirs) or b"")
    assert copy.source("a").endswith("more")


def test_a_large_copy_takes_steps_of_a_bounded_size() -> None:
    doc = filled()
    doc.set_source("a", "x" * 300)
    copy = FreshCopy(doc, daemon_actor(), step=100)
    assert 3 <= sum(1 for _ in copy.steps()) <= 4
    finished = copy.finished()
    assert whole(finished) == whole(doc)
    largest = max(len(change) for change in finished.library_document.get_changes([]))
    assert largest <= 101


def test_steps_on_an_unchanged_original_do_nothing() -> None:
    doc = filled()
    copy = FreshCopy(doc, daemon_actor())
    for _ in copy.steps():
        pass
    heads = copy.finished().heads
    for _ in copy.steps():
        pass
    assert copy.finished().heads == heads


_TEXT = st.text(max_size=8)
_EDIT = st.one_of(
    st.tuples(st.just("insert_cell"), st.sampled_from("abcdef"), st.just("code"), _TEXT),
    st.tuples(st.just("delete_cell"), st.sampled_from("abcdef")),
    st.tuples(st.just("set_source"), st.sampled_from("abcdef"), _TEXT),
    st.tuples(st.just("append_output"), st.sampled_from("abcdef"), _TEXT),
    st.tuples(st.just("move_cell"), st.sampled_from("abcdef"), st.none()),
    st.tuples(
        st.just("set_cell_metadata"),
        st.sampled_from("abcdef"),
        st.dictionaries(_TEXT, _TEXT, max_size=2),
    ),
    st.tuples(st.just("set_raw_metadata"), st.sampled_from("xyz"), _TEXT),
)


def _apply(doc: NotebookDocument, edit: tuple[Any, ...]) -> None:
    name, first, *rest = edit
    if name == "set_raw_metadata" or (first in doc) != (name == "insert_cell"):
        getattr(doc, name)(first, *rest)


@given(st.lists(st.lists(_EDIT, max_size=6), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_an_original_that_changes_between_steps_is_caught_up_with(
    rounds: list[list[tuple[Any, ...]]],
) -> None:
    doc = filled()
    copy = FreshCopy(doc, daemon_actor(), step=20)
    for edits in rounds:
        for at, _ in enumerate(copy.steps()):
            for edit in edits[at : at + 1]:
                _apply(doc, edit)
        for edit in edits[1:]:
            _apply(doc, edit)
    for _ in copy.steps():
        pass
    assert whole(copy.finished()) == whole(doc)
    assert copy.finished().cells() == doc.cells()
