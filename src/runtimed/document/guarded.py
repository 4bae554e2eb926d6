"""Reading a document of which any peer may have written any part.

The library can't express some values (counters, types it doesn't know, times out of range): it
panics or raises. Here they read as UNREADABLE, alone, without spoiling their neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automerge.core import Document, ScalarType

if TYPE_CHECKING:
    from automerge.core import Value

__all__ = ["UNREADABLE", "elements", "get", "is_panic", "members"]

UNREADABLE: Value = (ScalarType.Unknown, None)


def is_panic(error: BaseException) -> bool:
    """Whether an exception is a panic of the library: no Exception, and of no public class."""
    # After a panic while it was written to, the library refuses all work with this text.
    return type(error).__name__ == "PanicException" or "poisoned lock" in str(error)


def get(doc: Document, obj: bytes, key: str | int) -> tuple[Value, bytes] | None:
    """The value under a key or index, and its object id; None if there is none."""
    try:
        return doc.get(obj, key)
    except BaseException as error:
        _pass_on(error)
        return UNREADABLE, b""


def members(doc: Document, obj: bytes) -> list[tuple[str, tuple[Value, bytes]]]:
    """The keys of a Map and what is under them."""
    keys = doc.keys(obj)
    try:
        return list(zip(keys, doc.values(obj), strict=True))
    except BaseException as error:
        _pass_on(error)
    return [(key, get(doc, obj, key) or (UNREADABLE, b"")) for key in keys]


def elements(doc: Document, obj: bytes) -> list[tuple[Value, bytes]]:
    """The elements of a List or Text."""
    try:
        return doc.values(obj)
    except BaseException as error:
        _pass_on(error)
    return [get(doc, obj, i) or (UNREADABLE, b"") for i in range(doc.length(obj))]


def _pass_on(error: BaseException) -> None:
    if not (isinstance(error, Exception) or is_panic(error)) or "poisoned" in str(error):
        raise error
