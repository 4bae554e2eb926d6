"""Chunks of a stored document: where each begins and ends, and whether it is whole.

A stored document is a saved base with change chunks behind it. A crash can cut the last one short,
so the bytes up to there are kept and the rest is given up. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import hashlib
import zlib

from runtimed.document.leb128 import encode_unsigned, unsigned

__all__ = ["split_chunks"]

_MAGIC = b"\x85\x6f\x4a\x83"
_CHANGE, _COMPRESSED_CHANGE, _LAST_KIND = 1, 2, 3
_LARGEST_INFLATED = 1 << 30


def split_chunks(data: bytes) -> tuple[bytes, int]:
    """Keep the whole chunks at the start of a stored document.

    Shape: magic bytes, 4 bytes of checksum, a type byte, a LEB128 length, the content.
    Returns: the bytes up to the first chunk that is cut off or damaged, and how many bytes follow.
    Special cases: what follows a damaged chunk is cut as well, even if it looks whole: it may build
    on what is lost.
    """
    end = 0
    while end < len(data):
        following = _chunk_end(data, end)
        if following is None:
            break
        end = following
    return (data if end == len(data) else data[:end]), len(data) - end


def _chunk_end(data: bytes, start: int) -> int | None:
    """The end of the chunk that starts here; None if it is not whole."""
    if data[start : start + 4] != _MAGIC or len(data) < start + 10:
        return None
    kind = data[start + 8]
    if kind > _LAST_KIND:
        return None
    try:
        size, at = unsigned(data, start + 9)
    except IndexError:
        return None
    end = at + size
    if end > len(data):
        return None
    if kind == _COMPRESSED_CHANGE:
        # The checksum is that of the change before it was compressed.
        content = _inflated(data[at:end])
        if content is None:
            return None
        digest = hashlib.sha256(bytes([_CHANGE]) + encode_unsigned(len(content)) + content)
    else:
        digest = hashlib.sha256(memoryview(data)[start + 8 : end])
    return end if digest.digest()[:4] == data[start + 4 : start + 8] else None


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj(-15)
    try:
        content = inflater.decompress(data, _LARGEST_INFLATED)
    except zlib.error:
        return None
    return content if inflater.eof else None
