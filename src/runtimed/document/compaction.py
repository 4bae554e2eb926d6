"""Writing stored documents compactly: bytes in, bytes out.

Works on a document of its own, so that it can run in another thread than the one that edits.
"""

from __future__ import annotations

from automerge.core import Document

from runtimed.document.guarded import is_panic

__all__ = ["compacted"]


def compacted(data: bytes) -> bytes:
    """The same document with all its changes in one compressed chunk.

    The result is proven by loading it, since the library accepts changes that it cannot save;
    `data` itself comes back where the proof fails.
    """
    try:
        document = Document.load(data)
        result = document.save()
        same = sorted(Document.load(result).get_heads()) == sorted(document.get_heads())
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return data
    return result if same else data
