"""Attachments of a cell in the document: a Map by name of Maps by MIME type of content references.

A reference is a Map, `{"inline": text}` or `{"blob": hash, "size": bytes}` with the same extra keys
as in an output's manifest. Names and types merge one by one; a reference is never edited, only
replaced, or two peers could mix the hash of one with the size of the other. Peers that know nothing
of attachments ignore the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from automerge.core import Document, ObjType, Transaction

from runtimed.document.guarded import get, members
from runtimed.document.json_mapping import OnMade, read_map, storable, write_map

__all__ = ["Attachments", "read_attachments", "write_attachments"]

#: Name -> MIME type -> content reference.
Attachments = Mapping[str, Mapping[str, Mapping[str, Any]]]


def read_attachments(doc: Document, cell: bytes) -> dict[str, dict[str, dict[str, Any]]]:
    """The attachments of a cell; what has not their shape is left out."""
    found = get(doc, cell, "attachments")
    if found is None or found[0] != ObjType.Map:
        return {}
    return {name: _read_bundle(doc, bundle) for name, bundle in _maps(doc, found[1])}


def write_attachments(
    doc: Document, t: Transaction, obj: bytes, new: Attachments, made: OnMade
) -> None:
    """Make the Map of a cell's attachments equal to these, touching only those that differ."""
    new = storable(new)
    old = dict(_maps(doc, obj))
    for name in [name for name, _ in members(doc, obj) if name not in new]:
        t.delete(obj, name)
    for name, bundle in new.items():
        target = old.get(name)
        if target is None:
            target = t.put_object(obj, name, ObjType.Map)
            made(target)
        _write_bundle(doc, t, target, bundle, made)


def _write_bundle(
    doc: Document, t: Transaction, obj: bytes, new: Mapping[str, Mapping[str, Any]], made: OnMade
) -> None:
    old = _read_bundle(doc, obj)
    for media_type in [key for key, _ in members(doc, obj) if key not in new]:
        t.delete(obj, media_type)
    for media_type, reference in new.items():
        if old.get(media_type) != reference:
            target = t.put_object(obj, media_type, ObjType.Map)
            made(target)
            write_map(doc, t, target, reference, made)


def _read_bundle(doc: Document, obj: bytes) -> dict[str, dict[str, Any]]:
    references = ((media_type, read_map(doc, child)) for media_type, child in _maps(doc, obj))
    return {
        media_type: reference
        for media_type, reference in references
        if isinstance(reference.get("inline"), str) or isinstance(reference.get("blob"), str)
    }


def _maps(doc: Document, obj: bytes) -> Iterator[tuple[str, bytes]]:
    for key, (value, child) in members(doc, obj):
        if value == ObjType.Map:
            yield key, child
