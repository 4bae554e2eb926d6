"""The parts of a cell as values, read with patience and written with few operations.

A document may come from any peer, so a part that is missing or of the wrong type reads as its
default; only writing puts it right. Source is a Text, every other string a Str scalar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import orjson
from automerge.core import Document, ObjType, ScalarType, Transaction

from runtimed.document.attachments import read_attachments
from runtimed.document.guarded import elements, get, members
from runtimed.document.json_mapping import clean_text, read_map
from runtimed.document.positions import FIRST
from runtimed.document.text_edits import minimal_edits

__all__ = ["CellSnapshot", "NewCell", "read_cell"]

_NO_COUNT = "null"
# Counts are signed 64-bit wherever else they go.
_LONGEST_COUNT = 18


@attrs.frozen
class CellSnapshot:
    """A cell as it is at one moment.

    `outputs` are manifest hashes, or raw output JSON; `attachments` are content references by name
    and MIME type.
    """

    id: str
    cell_type: str
    position: str
    source: str = ""
    execution_count: int | None = None
    outputs: tuple[str, ...] = ()
    metadata: dict[str, Any] = attrs.field(factory=dict)
    resolved_assets: dict[str, str] = attrs.field(factory=dict)
    attachments: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)


@attrs.frozen
class NewCell:
    """A cell to be added to a document. Its parts are as in a CellSnapshot."""

    id: str
    cell_type: str = "code"
    source: str = ""
    execution_count: int | None = None
    outputs: Sequence[str] = ()
    metadata: dict[str, Any] = attrs.field(factory=dict)
    attachments: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)


def read_cell(doc: Document, obj: bytes, cell_id: str) -> CellSnapshot:
    """Read a whole cell."""
    outputs = part(doc, obj, "outputs", ObjType.List)
    return CellSnapshot(
        id=cell_id,
        cell_type=read_str(doc, obj, "cell_type") or "",
        position=read_str(doc, obj, "position") or FIRST,
        source=read_source(doc, obj),
        execution_count=read_count(doc, obj),
        outputs=tuple(read_strings(doc, outputs)),
        metadata=read_metadata(doc, obj),
        resolved_assets=read_assets(doc, obj),
        attachments=read_attachments(doc, obj),
    )


def part(doc: Document, obj: bytes, key: str, kind: ObjType) -> bytes | None:
    """The object under a key; None if there is none of that kind."""
    found = get(doc, obj, key)
    return found[1] if found is not None and found[0] == kind else None


def read_str(doc: Document, obj: bytes, key: str) -> str | None:
    """The Str scalar under a key. A Text there is not what the schema says, so it reads as None."""
    found = get(doc, obj, key)
    if found is None or not isinstance(found[0], tuple) or found[0][0] != ScalarType.Str:
        return None
    return str(found[0][1])


def read_source(doc: Document, obj: bytes) -> str:
    """The source of a cell; empty if damaged."""
    source = part(doc, obj, "source", ObjType.Text)
    return "" if source is None else doc.text(source)


def read_count(doc: Document, obj: bytes) -> int | None:
    """The execution count of a cell: decimal digits in the document, anything else is none."""
    text = read_str(doc, obj, "execution_count") or ""
    return (
        int(text) if text.isdecimal() and text.isascii() and len(text) <= _LONGEST_COUNT else None
    )


def count_text(count: int | None) -> str:
    """An execution count as the document spells it."""
    return _NO_COUNT if count is None else str(int(count))


def read_strings(doc: Document, obj: bytes | None) -> list[str]:
    """The elements of a List of Str; another element reads as empty string."""
    if obj is None:
        return []
    return [
        str(value[1]) if isinstance(value, tuple) and value[0] == ScalarType.Str else ""
        for value, _ in elements(doc, obj)
    ]


def read_metadata(doc: Document, obj: bytes) -> dict[str, Any]:
    """The metadata of a cell: a Map, or, in old documents, a Str that holds JSON."""
    found = get(doc, obj, "metadata")
    if found is not None and found[0] == ObjType.Map:
        return read_map(doc, found[1])
    if found is not None and isinstance(found[0], tuple) and found[0][0] == ScalarType.Str:
        try:
            value = orjson.loads(str(found[0][1]))
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}
    return {}


def read_assets(doc: Document, obj: bytes) -> dict[str, str]:
    """The asset references of a cell and the blobs they stand for."""
    assets = part(doc, obj, "resolved_assets", ObjType.Map)
    return {} if assets is None else read_str_members(doc, assets)


def read_str_members(doc: Document, obj: bytes) -> dict[str, str]:
    """The members of a Map that are Str scalars."""
    return {
        key: str(value[1])
        for key, (value, _) in members(doc, obj)
        if isinstance(value, tuple) and value[0] == ScalarType.Str
    }


def insert_text(t: Transaction, text: bytes, index: int, inserted: str) -> None:
    """Insert into a Text. Each code point is an element of its own, or nobody could split it."""
    insert, kind = t.insert, ScalarType.Str
    for at, character in enumerate(inserted, index):
        insert(text, at, kind, character)


def change_text(doc: Document, t: Transaction, text: bytes, new: str) -> None:
    """Make a Text equal to a string with the fewest edits, so that concurrent edits merge."""
    new = clean_text(new)
    old = doc.text(text)
    if old == new:
        return
    edits = minimal_edits(old, new)
    try:
        for edit in reversed(edits):
            for _ in range(edit.delete):
                t.delete(text, edit.index)
            insert_text(t, text, edit.index, edit.insert)
        if doc.text(text) == new:
            return
    except Exception:
        # Only a Text whose elements aren't single code points gets here: indices then don't fit.
        pass
    for _ in elements(doc, text):
        t.delete(text, 0)
    insert_text(t, text, 0, new)


def append_text(doc: Document, t: Transaction, text: bytes, added: str) -> None:
    """Append to a Text, without reading it."""
    try:
        insert_text(t, text, doc.length(text), clean_text(added))
    except Exception:
        change_text(doc, t, text, doc.text(text) + added)  # see there


def change_strings(t: Transaction, obj: bytes, old: Sequence[str], new: Sequence[str]) -> None:
    """Make a List of Str equal to a list: put what differs, then append or cut the tail."""
    for i, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            t.put(obj, i, ScalarType.Str, after)
    for i in range(len(old) - 1, len(new) - 1, -1):
        t.delete(obj, i)
    append_strings(t, obj, len(old), new[len(old) :])


def append_strings(t: Transaction, obj: bytes, length: int, added: Sequence[str]) -> list[str]:
    """Append to a List that has this length. Returns the strings as they are in it now."""
    cleaned = [clean_text(text) for text in added]
    for i, text in enumerate(cleaned, length):
        t.insert(obj, i, ScalarType.Str, text)
    return cleaned
