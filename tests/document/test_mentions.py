"""Which blobs a stored document names."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given
from hypothesis import strategies as st

from runtimed.document import guarded, mentions
from runtimed.document.actors import daemon_actor
from runtimed.document.mentions import mentioned_in_document, mentioned_in_text
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.errors import DocumentUnreadable


def name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_outputs_assets_and_metadata_name_blobs_wherever_they_stand() -> None:
    document = NotebookDocument.create("n", daemon_actor())
    raw = f'{{"output_type":"x","data":{{"blob":"{name("raw")}"}}}}'
    metadata = {"a": [{"blob": name("deep").upper(), "size": 1}], name("key"): True}
    document.load_cells([NewCell("c", outputs=(name("manifest"), raw), metadata=metadata)])
    with document._edit() as t:
        cell = document._doc.get(document._doc.get(ROOT, "cells")[1], "c")[1]  # type: ignore[index]
        assets = t.put_object(cell, "resolved_assets", ObjType.Map)
        t.put(assets, "a.png", ScalarType.Str, name("asset"))
    expected = {name(text) for text in ("manifest", "raw", "deep", "key", "asset")}
    assert mentioned_in_document(document.save()) == expected
    assert set().union(*document.mentions()) == expected


def test_what_people_write_names_nothing() -> None:
    document = NotebookDocument.create("n", daemon_actor())
    document.insert_cell("c", "code", f"print('{name('x')}')")
    assert mentioned_in_document(document.save()) == set()


def test_what_was_deleted_is_not_mentioned_any_more() -> None:
    document = NotebookDocument.create("n", daemon_actor())
    document.load_cells([NewCell("c", outputs=(name("old"),)), NewCell("d", outputs=(name("d"),))])
    document.set_outputs("c", [name("new")])
    document.delete_cell("d")
    assert mentioned_in_document(document.save()) == {name("new")}


def test_a_document_that_breaks_during_the_walk_is_walked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class PanicException(BaseException):
        pass

    def members(doc: Document, obj: bytes) -> Any:
        if doc is first and obj != ROOT:
            document._recover()
            raise PanicException("poisoned lock")
        return guarded.members(doc, obj)

    document = NotebookDocument.create("n", daemon_actor())
    document.load_cells([NewCell("c", outputs=(name("c"),))])
    document.save()
    first = document._doc
    monkeypatch.setattr(mentions, "members", members)
    assert set().union(*document.mentions()) == {name("c")}
    assert document._doc is not first


def test_the_schema_of_a_document_does_not_matter() -> None:
    document = Document(b"somebody later")
    with document.transaction() as t:
        t.put(ROOT, "schema_version", ScalarType.Uint, 99)
        t.insert(t.put_object(ROOT, "things", ObjType.List), 0, ScalarType.Str, name("x"))
    assert mentioned_in_document(document.save()) == {name("x")}


def test_a_cut_tail_is_passed_over_and_what_is_no_document_is_refused() -> None:
    document = NotebookDocument.create("n", daemon_actor())
    data = document.save()
    heads = document.heads
    document.load_cells([NewCell("c", outputs=(name("c"),))])
    tail = document.changes_since(heads)
    assert mentioned_in_document(data + tail) == {name("c")}
    assert mentioned_in_document(data + tail[:-3]) == set()
    for broken in (b"", b"x" * 100, data[:-4]):
        with pytest.raises(DocumentUnreadable):
            mentioned_in_document(broken)


@given(st.lists(st.text(alphabet="0123456789abcdefABCDEFxyz \"'", max_size=70), max_size=4))
def test_only_words_of_64_digits_are_names(words: list[str]) -> None:
    real = name("real")
    text = f'"{real.upper()}" {real}0 ' + "\n".join(words)
    found = mentioned_in_text(text)
    assert real in found
    assert all(len(word) == 64 and word == word.lower() for word in found)
