"""Which blobs a document, or a piece of text, names.

Errs on the side of too many: any word of 64 hex digits may be a blob's name, wherever in a document
it stands. So whoever puts references in a new place need not be known here. Pure: bytes and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from automerge.core import ROOT, Document, ObjType, ScalarType

from runtimed.document.guarded import elements, is_panic, members
from runtimed.document.storage import split_chunks
from runtimed.errors import DocumentUnreadable

__all__ = ["document_mentions", "mentioned_in_document", "mentioned_in_text"]

_NAME = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])")


def mentioned_in_text(text: str) -> set[str]:
    """The blob names in a text, in lower case."""
    return {name.lower() for name in _NAME.findall(text)}


def mentioned_in_document(data: bytes) -> set[str]:
    """The blob names in a stored document, of whatever schema; a cut tail is passed over.

    Raises: DocumentUnreadable if nothing of it can be read.
    """
    good, _ = split_chunks(data)
    if not good:
        raise DocumentUnreadable("no complete chunk in it")
    found: set[str] = set()
    try:
        for names in document_mentions(Document.load(good)):
            found |= names
    except Exception as error:
        raise DocumentUnreadable(f"Not a readable document: {error}") from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise DocumentUnreadable(f"Not a readable document: {error}") from error
    return found


def document_mentions(document: Document) -> Iterator[set[str]]:
    """The blob names in a document, one Map or List at a time, so that a caller may pause.

    Text objects name no blobs: they are what people write.
    """
    waiting: list[tuple[ObjType, bytes]] = [(ObjType.Map, ROOT)]
    while waiting:
        kind, obj = waiting.pop()
        names: set[str] = set()
        if kind == ObjType.Map:
            found = []
            for key, entry in members(document, obj):
                if len(key) >= 64:
                    names |= mentioned_in_text(key)
                found.append(entry)
        else:
            found = elements(document, obj)
        for value, child in found:
            if isinstance(value, tuple):
                if value[0] == ScalarType.Str:
                    text = str(value[1])
                    if len(text) >= 64:
                        names |= mentioned_in_text(text)
            elif value in (ObjType.Map, ObjType.List):
                waiting.append((value, child))
        yield names
