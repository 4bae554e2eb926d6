"""Attachments in the document: they merge one by one, and strange ones read as none."""

from __future__ import annotations

from typing import Any

from automerge.core import ROOT, Document, ObjType, ScalarType

from runtimed.document.mentions import mentioned_in_document
from runtimed.document.notebook import NewCell, NotebookDocument

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def blob(name: str, size: int = 9000) -> dict[str, Any]:
    return {"blob": name, "size": size, "encoding": "base64"}


def documents(cell_type: str = "markdown") -> tuple[NotebookDocument, NotebookDocument]:
    """A document and a replica of it, with a cell `m` in which `a.png` is attached."""
    document = NotebookDocument.create("nb", b"daemon")
    attachments = {"a.png": {"image/png": blob(A)}}
    document.load_cells([NewCell("m", cell_type, attachments=attachments)])
    replica = NotebookDocument.empty(b"peer")
    exchange(document, replica)
    return document, replica


def exchange(one: NotebookDocument, other: NotebookDocument) -> None:
    here, there = one.new_peer(), other.new_peer()
    while True:
        message, answer = one.generate_sync(here), other.generate_sync(there)
        if message is None and answer is None:
            return
        if message is not None:
            other.receive_sync(there, message)
        if answer is not None:
            one.receive_sync(here, answer)


def test_attachments_reach_peers_and_are_part_of_the_cell() -> None:
    document, replica = documents()
    assert replica.attachments("m") == {"a.png": {"image/png": blob(A)}}
    assert replica.cell("m").attachments == document.cell("m").attachments


def test_two_peers_who_attach_at_once_both_keep_theirs() -> None:
    document, replica = documents()
    document.set_attachments("m", {**document.attachments("m"), "b": {"image/png": blob(B)}})
    replica.set_attachments("m", {**replica.attachments("m"), "c": {"text/plain": {"inline": "x"}}})
    exchange(document, replica)
    assert document.attachments("m") == replica.attachments("m")
    assert document.attachments("m").keys() == {"a.png", "b", "c"}


def test_two_peers_who_are_the_first_to_attach_both_keep_theirs() -> None:
    document = NotebookDocument.create("nb", b"daemon")
    document.insert_cell("m", "markdown")
    replica = NotebookDocument.empty(b"peer")
    exchange(document, replica)
    document.set_attachments("m", {"b": {"image/png": blob(B)}})
    replica.set_attachments("m", {"c": {"image/png": blob(C)}})
    exchange(document, replica)
    assert document.attachments("m").keys() == {"b", "c"}


def test_a_replaced_attachment_is_that_of_one_peer_and_never_a_mixture() -> None:
    document, replica = documents()
    document.set_attachments("m", {"a.png": {"image/png": blob(B, 1)}})
    replica.set_attachments("m", {"a.png": {"image/png": {"inline": "QUJD"}}})
    exchange(document, replica)
    assert document.attachments("m") == replica.attachments("m")
    assert document.attachments("m")["a.png"]["image/png"] in (blob(B, 1), {"inline": "QUJD"})


def test_setting_what_is_there_changes_nothing_and_a_removed_one_is_gone() -> None:
    document, replica = documents()
    heads = document.heads
    document.set_attachments("m", {"a.png": {"image/png": blob(A)}})
    assert document.heads == heads
    document.set_attachments("m", {})
    exchange(document, replica)
    assert replica.attachments("m") == {}


def test_a_change_of_attachments_touches_its_cell() -> None:
    document, replica = documents()
    here, there = document.new_peer(), replica.new_peer()
    document.set_attachments("m", {"b": {"image/png": blob(B)}})
    touched: set[str] = set()
    while message := document.generate_sync(here):
        touched |= replica.receive_sync(there, message).cells
        if answer := replica.generate_sync(there):
            document.receive_sync(here, answer)
    assert touched == {"m"}


def test_code_cells_have_them_when_they_have_some() -> None:
    document, replica = documents("code")
    assert replica.attachments("m") == {"a.png": {"image/png": blob(A)}}
    document.insert_cell("c", "code")
    document.set_attachments("c", {"b": {"image/png": blob(B)}})
    exchange(document, replica)
    assert replica.attachments("c") == {"b": {"image/png": blob(B)}}


def test_what_has_not_the_shape_of_attachments_reads_as_none() -> None:
    document, _ = documents()
    data = Document(b"odd")
    data.merge(Document.load(document.save()))
    cells = data.get(ROOT, "cells")
    assert cells is not None
    cell = data.get(cells[1], "m")
    assert cell is not None
    with data.transaction() as t:
        attachments = t.put_object(cell[1], "attachments", ObjType.Map)
        t.put(attachments, "text", ScalarType.Str, "no bundle")
        bundle = t.put_object(attachments, "good", ObjType.Map)
        t.put(bundle, "image/png", ScalarType.Str, "no reference")
        t.put_object(bundle, "image/gif", ObjType.Map)
        good = t.put_object(bundle, "text/plain", ObjType.Map)
        t.put(good, "inline", ScalarType.Str, "x")
    odd = NotebookDocument.load(data.save(), b"daemon")
    assert odd.attachments("m") == {"good": {"text/plain": {"inline": "x"}}}
    odd.set_attachments("m", {"good": {"image/png": blob(B)}})
    assert odd.attachments("m") == {"good": {"image/png": blob(B)}}


def test_the_blobs_of_attachments_and_images_are_among_those_that_a_document_names() -> None:
    document, _ = documents()
    document.set_resolved_assets("m", {"a.png": C})
    assert mentioned_in_document(document.save()) >= {A, C}
