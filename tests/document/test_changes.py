"""What a change touches: checked against what was written."""

from __future__ import annotations

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.changes import ROOT_KEY, object_id, object_key, touched


def last_change(doc: Document) -> bytes:
    raw: bytes = doc.get_changes([])[-1].raw_bytes
    return raw


@given(st.binary(min_size=1, max_size=300), st.integers(0, 400))
def test_object_ids_are_read_and_written(actor: bytes, earlier: int) -> None:
    doc = Document(actor)
    with doc.transaction() as t:
        for i in range(earlier):
            t.put(ROOT, "k", ScalarType.Int, i)
        obj = t.put_object(ROOT, "m", ObjType.Map)
        t.put(obj, "here", ScalarType.Int, 1)
    assert object_key(obj) == (earlier + 1, actor)
    assert doc.keys(object_id(object_key(obj))) == ["here"]
    assert object_key(ROOT) == ROOT_KEY
    assert object_id(ROOT_KEY) == ROOT


def test_a_change_names_the_places_it_writes_to() -> None:
    doc = Document(b"first")
    with doc.transaction() as t:
        cells = t.put_object(ROOT, "cells", ObjType.Map)
        cell = t.put_object(cells, "c1", ObjType.Map)
        text = t.put_object(cell, "source", ObjType.Text)
        outputs = t.put_object(cell, "outputs", ObjType.List)
    found = touched(last_change(doc))
    assert found.places == [(ROOT_KEY, "cells")]
    assert [(made.child, made.parent, made.key) for made in found.made] == [
        (object_key(cells), ROOT_KEY, "cells"),
        (object_key(cell), object_key(cells), "c1"),
        (object_key(text), object_key(cell), "source"),
        (object_key(outputs), object_key(cell), "outputs"),
    ]
    doc.set_actor(b"second")
    with doc.transaction() as t:
        t.put(cell, "position", ScalarType.Str, "80")
        t.insert(text, 0, ScalarType.Str, "a")
        t.insert(text, 1, ScalarType.Str, "b")
        t.insert(outputs, 0, ScalarType.Str, "o")
        deep = t.insert_object(outputs, 1, ObjType.Map)
        t.put(deep, "x", ScalarType.Int, 1)
        t.delete(cells, "c1")
    found = touched(last_change(doc))
    assert set(found.places) == {
        (object_key(cell), "position"),
        (object_key(text), None),
        (object_key(outputs), None),
        (object_key(cells), "c1"),
    }
    assert [(made.child, made.parent) for made in found.made] == [
        (object_key(deep), object_key(outputs))
    ]


def test_a_pasted_page_is_one_place_and_compressed_changes_are_read() -> None:
    doc = Document(b"a")
    with doc.transaction() as t:
        text = t.put_object(ROOT, "text", ObjType.Text)
    with doc.transaction() as t:
        for i in range(5000):
            t.insert(text, i, ScalarType.Str, "lorem ipsum"[i % 11])
    stored = Document.load(doc.save())
    for raw in (last_change(doc), last_change(stored)):
        assert touched(raw).places == [(object_key(text), None)]


def test_what_is_no_change_is_refused() -> None:
    doc = Document(b"a")
    with doc.transaction() as t:
        t.put(ROOT, "k", ScalarType.Int, 1)
    raw = last_change(doc)
    for junk in (b"", b"junk", doc.save(), raw[:20], raw[:8] + b"\x07" + raw[9:]):
        with pytest.raises(ValueError, match="not a change chunk"):
            touched(junk)
