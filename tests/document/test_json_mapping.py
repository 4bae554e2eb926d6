"""JSON in a document: the types of the specification, and writes of changed leaves only."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.json_mapping import read_map, write_map
from runtimed.errors import RuntimedError

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(min_size=1, max_size=3), json_values, max_size=4)


def write(doc: Document, value: dict[str, Any]) -> list[bytes]:
    made: list[bytes] = []
    with doc.transaction() as t:
        write_map(doc, t, ROOT, value, made.append)
    return made


def operations(doc: Document) -> int:
    """How many operations the newest change has."""
    return len(doc.get_changes([])[-1])


@settings(max_examples=60)
@given(json_objects, json_objects)
def test_whatever_was_there_before_the_written_value_is_read_back(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    doc = Document(b"a")
    write(doc, old)
    write(doc, new)
    read = read_map(doc, ROOT)
    assert read == new
    assert repr(sorted(read.items())) == repr(sorted((key, read[key]) for key in new))


@settings(max_examples=30)
@given(json_objects)
def test_writing_what_is_there_changes_nothing(value: dict[str, Any]) -> None:
    doc = Document(b"a")
    write(doc, value)
    heads = doc.get_heads()
    write(doc, value)
    assert doc.get_heads() == heads


def test_each_kind_of_value_has_its_native_type() -> None:
    doc = Document(b"a")
    write(
        doc,
        {"s": "x", "i": -1, "u": 2**63, "f": 1.0, "b": True, "n": None, "m": {}, "l": [1]},
    )
    kinds = {key: (doc.get(ROOT, key) or ("",))[0] for key in doc.keys(ROOT)}
    assert kinds == {
        "s": (ScalarType.Str, "x"),
        "i": (ScalarType.Int, -1),
        "u": (ScalarType.Uint, 2**63),
        "f": (ScalarType.F64, 1.0),
        "b": (ScalarType.Boolean, True),
        "n": (ScalarType.Null, None),
        "m": ObjType.Map,
        "l": ObjType.List,
    }


def test_one_and_one_point_nought_and_true_are_told_apart() -> None:
    doc = Document(b"a")
    for value in (1, 1.0, True, [1], [1.0], [True]):
        write(doc, {"v": value})
        assert repr(read_map(doc, ROOT)["v"]) == repr(value)


def test_only_the_leaf_that_differs_is_put() -> None:
    doc = Document(b"a")
    write(doc, {"jupyter": {"source_hidden": True, "deep": {"a": [1, 2, {"b": 1}]}}, "tags": ["x"]})
    write(doc, {"jupyter": {"source_hidden": True, "deep": {"a": [1, 2, {"b": 2}]}}, "tags": ["x"]})
    assert operations(doc) == 1


def test_a_tag_is_added_to_a_list_without_touching_the_others() -> None:
    doc = Document(b"a")
    write(doc, {"tags": ["a", "b", "c"]})
    write(doc, {"tags": ["a", "new", "b", "c"]})
    assert operations(doc) == 1
    assert read_map(doc, ROOT) == {"tags": ["a", "new", "b", "c"]}


def test_what_a_document_cannot_express_is_replaced() -> None:
    doc = Document(b"a")
    write(doc, {"": 1, "nan": float("nan"), "big": 2**80, "huge": 10**400, "bad": "a\ud800b"})
    assert read_map(doc, ROOT) == {
        "nan": None,
        "big": float(2**80),
        "huge": str(10**400),
        "bad": "a\ufffdb",
    }


def test_a_surrogate_pair_becomes_the_character_it_stands_for() -> None:
    doc = Document(b"a")
    write(doc, {"pair": "\ud83d\ude42"})
    assert read_map(doc, ROOT) == {"pair": "🙂"}


def with_value_type(doc: Document, code: int) -> Document:
    """The same document, but its last operation, which put the integer 5, put another type."""
    changes = [bytearray(change.raw_bytes) for change in doc.get_changes([])]
    last = changes[-1]
    last[last.rindex(b"\x14")] = 0x10 | code  # value metadata: length 1, type 4 (integer)
    last[4:8] = hashlib.sha256(last[8:]).digest()[:4]
    return Document.load(b"".join(changes))


@pytest.mark.parametrize("code", [7, 8, 9, 10, 15], ids=["bytes", "counter", "time", "?", "??"])
def test_values_json_has_no_form_for_are_dropped_and_null_inside_a_list(code: int) -> None:
    doc = Document(b"a")
    with doc.transaction() as t:
        t.put(ROOT, "before", ScalarType.Str, "x")
        t.put(ROOT, "odd", ScalarType.Int, 5)
    assert read_map(with_value_type(doc, code), ROOT) == {"before": "x"}
    doc = Document(b"a")
    with doc.transaction() as t:
        items = t.put_object(ROOT, "list", ObjType.List)
        t.insert(items, 0, ScalarType.Str, "x")
        t.insert(items, 1, ScalarType.Int, 5)
    assert read_map(with_value_type(doc, code), ROOT) == {"list": ["x", None]}


def test_a_value_that_cannot_be_read_can_be_replaced() -> None:
    doc = Document(b"a")
    with doc.transaction() as t:
        t.put(ROOT, "odd", ScalarType.Int, 5)
    doc = with_value_type(doc, 8)
    write(doc, {"odd": "even"})
    assert read_map(doc, ROOT) == {"odd": "even"}


def test_texts_are_strings_and_infinity_is_null() -> None:
    doc = Document(b"a")
    with doc.transaction() as t:
        t.put(ROOT, "infinite", ScalarType.F64, float("inf"))
        text = t.put_object(ROOT, "text", ObjType.Text)
        t.insert(text, 0, ScalarType.Str, "t")
    assert read_map(doc, ROOT) == {"infinite": None, "text": "t"}


def test_what_is_no_json_is_refused() -> None:
    doc = Document(b"a")
    with pytest.raises(RuntimedError, match="can't hold a set"):
        write(doc, {"x": {1}})
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"d": deep}
    with pytest.raises(RuntimedError, match="nested too deeply"):
        write(doc, deep)


def test_reading_a_document_nested_without_end_stops() -> None:
    doc = Document(b"a")
    with doc.transaction() as t:
        obj = ROOT
        for _ in range(3000):
            obj = t.put_object(obj, "d", ObjType.Map)
    assert list(read_map(doc, ROOT)) == ["d"]


def test_the_objects_that_writing_makes_are_reported() -> None:
    doc = Document(b"a")
    made = write(doc, {"a": {"b": [{"c": 1}]}, "d": 1})
    assert [doc.object_type(obj) for obj in made] == [ObjType.Map, ObjType.List, ObjType.Map]
