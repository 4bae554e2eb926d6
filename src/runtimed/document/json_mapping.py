"""JSON values as native document values, and back.

Objects are Maps, arrays Lists, strings Str scalars. Writing compares with what is there and puts
only the leaves that differ, so that two peers who change different fields both keep their change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from automerge.core import Document, ObjType, ScalarType, Transaction

from runtimed.document.guarded import elements, get, members
from runtimed.errors import RuntimedError

__all__ = [
    "OnMade",
    "as_in_file",
    "map_at",
    "read_at",
    "read_list",
    "read_map",
    "same",
    "storable",
    "write_at",
    "write_key",
    "write_map",
]

# Nothing sensible nests deeper, and a hostile document must not exhaust the stack.
MAX_DEPTH = 100

# Called with the id of each Map or List that writing makes.
OnMade = Callable[[bytes], None]

_DROPPED = object()
_INT_MIN, _INT_MAX, _UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1


def read_map(doc: Document, obj: bytes, depth: int = 0) -> dict[str, Any]:
    """Read a Map as a JSON object. Members that JSON has no form for are left out."""
    result = {}
    for key, (value, child) in members(doc, obj):
        read = _read(doc, value, child, depth)
        if read is not _DROPPED:
            result[key] = read
    return result


def read_list(doc: Document, obj: bytes, depth: int = 0) -> list[Any]:
    """Read a List as a JSON array. Elements that JSON has no form for are null."""
    return [
        None if (read := _read(doc, value, child, depth)) is _DROPPED else read
        for value, child in elements(doc, obj)
    ]


def read_key(doc: Document, obj: bytes, key: str) -> Any:
    """Read one member of a Map as JSON; None if it is not there."""
    found = get(doc, obj, key)
    read = None if found is None else _read(doc, found[0], found[1], 0)
    return None if read is _DROPPED else read


def read_at(doc: Document, obj: bytes, path: Sequence[str]) -> Any:
    """Read what is at a path of keys as JSON; None if there is nothing."""
    inner = map_at(doc, obj, path[:-1])
    return None if inner is None else read_key(doc, inner, path[-1])


def map_at(doc: Document, obj: bytes, path: Sequence[str]) -> bytes | None:
    """The Map at a path of keys; None if there is something else, or nothing."""
    for key in path:
        found = get(doc, obj, key)
        if found is None or found[0] != ObjType.Map:
            return None
        obj = found[1]
    return obj


def _read(doc: Document, value: Any, child: bytes, depth: int) -> Any:
    if isinstance(value, tuple):
        kind, scalar = value
        if kind in (ScalarType.Str, ScalarType.Int, ScalarType.Uint, ScalarType.Boolean):
            return scalar
        if kind == ScalarType.F64:
            return scalar if math.isfinite(scalar) else None
        return None if kind == ScalarType.Null else _DROPPED
    if depth >= MAX_DEPTH:
        return _DROPPED
    if value == ObjType.Map:
        return read_map(doc, child, depth + 1)
    if value == ObjType.List:
        return read_list(doc, child, depth + 1)
    return doc.text(child)


def storable(value: Any) -> Any:
    """A JSON value as it would be read back: what the document can't express is replaced.

    Special cases: a member with an empty name is dropped, a number that is not finite becomes null,
    an integer beyond 64 bits a float (a string if even that is too small), lone surrogates U+FFFD.
    Raises: RuntimedError for something that is no JSON, or nested deeper than MAX_DEPTH.
    """
    return _storable(value, 0)


def _storable(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise RuntimedError("Metadata is nested too deeply")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        if _INT_MIN <= value <= _UINT_MAX:
            return int(value)
        try:
            return float(value)
        except OverflowError:
            return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {
            clean_text(str(key)): _storable(item, depth + 1)
            for key, item in value.items()
            if str(key)
        }
    if isinstance(value, (list, tuple)):
        return [_storable(item, depth + 1) for item in value]
    raise RuntimedError(f"Metadata can't hold a {type(value).__name__}")


def as_in_file(old: Any, new: Any) -> Any:
    """A value of the document, with what it holds only nearly as the file has it.

    Shape: where the file's value would be read back from a document as the new one is, it is the
    file's: a longer integer, say. Members without a name were never in the document, and stay.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        exact = {key: as_in_file(old[key], new[key]) if key in old else new[key] for key in new}
        return {**exact, "": old[""]} if "" in old else exact
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [as_in_file(*both) for both in zip(old, new, strict=True)]
    if isinstance(old, (Mapping, list)):
        return new
    return old if same(storable(old), new) else new


def clean_text(text: str) -> str:
    """Text that UTF-8 can express: lone surrogates become U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def write_map(
    doc: Document, transaction: Transaction, obj: bytes, new: Mapping[str, Any], made: OnMade
) -> None:
    """Make a Map equal to a JSON object, touching only what differs."""
    _write_map(doc, transaction, obj, storable(new), made)


def write_key(
    doc: Document, transaction: Transaction, obj: bytes, key: str, new: Any, made: OnMade
) -> None:
    """Make one member of a Map equal to a JSON value, touching only what differs."""
    _write(doc, transaction, obj, key, get(doc, obj, key), storable(new), made)


def write_at(
    doc: Document, t: Transaction, obj: bytes, path: Sequence[str], new: Any, made: OnMade
) -> None:
    """Make what is at a path of keys equal to a JSON value, touching nothing beside the path.

    Special cases: what is no Map on the way is replaced by one.
    Raises: RuntimedError for an empty path or key, and for what is no JSON or nested too deeply.
    """
    if not path or not all(path):
        raise RuntimedError("A path into the metadata is made of names, and none of them is empty")
    new = _storable(new, len(path) - 1)
    for key in map(clean_text, path[:-1]):
        found = get(doc, obj, key)
        if found is not None and found[0] == ObjType.Map:
            obj = found[1]
        else:
            obj = t.put_object(obj, key, ObjType.Map)
            made(obj)
    key = clean_text(path[-1])
    _write(doc, t, obj, key, get(doc, obj, key), new, made)


def _write_map(
    doc: Document, t: Transaction, obj: bytes, new: Mapping[str, Any], made: OnMade
) -> None:
    old = dict(members(doc, obj))
    for key in old.keys() - new.keys():
        t.delete(obj, key)
    for key, value in new.items():
        _write(doc, t, obj, key, old.get(key), value, made)


def _write(
    doc: Document, t: Transaction, obj: bytes, key: str | int, old: Any, new: Any, made: OnMade
) -> None:
    if old is None:
        _put(t, obj, key, new, made)
    elif isinstance(new, dict) and old[0] == ObjType.Map:
        _write_map(doc, t, old[1], new, made)
    elif isinstance(new, list) and old[0] == ObjType.List:
        _write_list(doc, t, old[1], new, made)
    elif not same(_read(doc, old[0], old[1], 0), new):
        _put(t, obj, key, new, made)


def _write_list(doc: Document, t: Transaction, obj: bytes, new: list[Any], made: OnMade) -> None:
    old = elements(doc, obj)
    plain = [_read(doc, value, child, 0) for value, child in old]
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and same(plain[start], new[start]):
        start += 1
    end = 0
    while end < shorter - start and same(plain[-1 - end], new[-1 - end]):
        end += 1
    common = shorter - start - end  # replaced in place, in pairs
    for i in range(start, start + common):
        _write(doc, t, obj, i, old[i], new[i], made)
    for i in reversed(range(start + common, len(old) - end)):
        t.delete(obj, i)
    for i in range(start + common, len(new) - end):
        _insert(t, obj, i, new[i], made)


def same(old: Any, new: Any) -> bool:
    """Equality that tells 1 from 1.0 and from True, at every depth."""
    if type(old) is not type(new):
        return False
    if isinstance(new, dict):
        return old.keys() == new.keys() and all(same(old[key], new[key]) for key in new)
    if isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    return bool(old == new)


def _scalar_type(value: Any) -> ScalarType:
    if value is None:
        return ScalarType.Null
    if isinstance(value, bool):
        return ScalarType.Boolean
    if isinstance(value, str):
        return ScalarType.Str
    if isinstance(value, float):
        return ScalarType.F64
    return ScalarType.Int if value <= _INT_MAX else ScalarType.Uint


def _put(t: Transaction, obj: bytes, key: str | int, value: Any, made: OnMade) -> None:
    if isinstance(value, (dict, list)):
        kind = ObjType.Map if isinstance(value, dict) else ObjType.List
        _fill(t, t.put_object(obj, key, kind), value, made)
    else:
        t.put(obj, key, _scalar_type(value), value)


def _insert(t: Transaction, obj: bytes, index: int, value: Any, made: OnMade) -> None:
    if isinstance(value, (dict, list)):
        kind = ObjType.Map if isinstance(value, dict) else ObjType.List
        _fill(t, t.insert_object(obj, index, kind), value, made)
    else:
        t.insert(obj, index, _scalar_type(value), value)


def _fill(t: Transaction, obj: bytes, value: dict[str, Any] | list[Any], made: OnMade) -> None:
    made(obj)
    if isinstance(value, dict):
        for key, item in value.items():
            _put(t, obj, key, item, made)
    else:
        for i, item in enumerate(value):
            _insert(t, obj, i, item, made)
