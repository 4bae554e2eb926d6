"""Frames: a big-endian u32 length and that many bytes, cut out of a stream and put into one.

Knows the two size limits and the end-of-stream rules, nothing of what is inside a frame.
"""

from __future__ import annotations

import struct
from collections import deque
from enum import IntEnum

from runtimed.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "MAX_FRAME",
    "MAX_HANDSHAKE",
    "FrameKind",
    "FrameReader",
    "encode_frame",
    "encode_typed",
]

MAX_HANDSHAKE = 65_536
MAX_FRAME = 104_857_600

_LENGTH = struct.Struct(">I")
_LENGTH_AND_KIND = struct.Struct(">IB")

# Pieces below this size that belong to an unfinished frame are gathered before they are queued, so
# that a frame which trickles in byte by byte doesn't cost a queue entry for every byte.
_SMALL_PIECE = 1024
_GATHERED = 65_536


class FrameKind(IntEnum):
    """The first byte of a frame on a notebook channel."""

    SYNC = 0
    REQUEST = 1
    RESPONSE = 2
    BROADCAST = 3
    PRESENCE = 4


def encode_frame(payload: bytes) -> bytes:
    """Put one untyped frame on the wire.

    Raises: LocalProtocolError if the payload is larger than MAX_FRAME.
    """
    size = len(payload)
    if size > MAX_FRAME:
        raise LocalProtocolError(f"frame too large to send: {size} bytes (max {MAX_FRAME})")
    return _LENGTH.pack(size) + payload


def encode_typed(kind: FrameKind, payload: bytes) -> bytes:
    """Put one typed frame on the wire; its length counts the type byte.

    Raises: LocalProtocolError if type byte and payload are larger than MAX_FRAME.
    """
    size = len(payload) + 1
    if size > MAX_FRAME:
        raise LocalProtocolError(f"frame too large to send: {size} bytes (max {MAX_FRAME})")
    return _LENGTH_AND_KIND.pack(size, kind) + payload


class FrameReader:
    """Cuts frames out of a byte stream, whatever the pieces it arrives in.

    Received pieces are kept as they are. A frame inside one piece is one slice of it, and one that
    spans pieces is joined once, when its last byte is there: cost is proportional to the bytes.

    limit: largest payload accepted, in bytes. May be changed between frames.
    """

    def __init__(self, limit: int = MAX_HANDSHAKE) -> None:
        self.limit = limit
        self._pieces: deque[bytes] = deque()
        self._offset = 0  # what of the first piece has been taken already
        self._available = 0  # bytes not yet taken, gathered ones included
        self._gathered = bytearray()
        self._wanted = 4  # bytes without which nothing can be taken
        self._size: int | None = None  # payload size, once its length has been read
        self._eof = False

    def __repr__(self) -> str:
        return f"<FrameReader available={self._available} wanted={self._wanted} eof={self._eof}>"

    @property
    def ended(self) -> bool:
        """Whether the stream has ended, in order, and every frame has been taken."""
        return self._eof and self._size is None and self._available < 4

    @property
    def available(self) -> int:
        """Bytes received and not taken yet."""
        return self._available

    @property
    def eof(self) -> bool:
        """Whether the end of the stream has been received; frames may still wait before it."""
        return self._eof

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the stream; no bytes mean its end."""
        if not data:
            self._eof = True
            return
        if self._eof:
            raise LocalProtocolError("data received after the end of the stream")
        size = len(data)
        self._available += size
        if size < _SMALL_PIECE and self._available < self._wanted:
            self._gathered += data
            if len(self._gathered) >= _GATHERED:
                self._queue_gathered()
            return
        if self._gathered:
            self._queue_gathered()
        self._pieces.append(data if type(data) is bytes else bytes(data))

    def next_frame(self) -> bytes | None:
        """The next payload, or None until more has been received.

        Raises: RemoteProtocolError if the announced length is over the limit (before any of the
            payload is there), or if the stream has ended inside a payload. An end inside the
            length is as good as one between frames.
        """
        size = self._payload_size()
        if size is None:
            return None
        self._size = None
        self._wanted = 4
        return self.take(size)

    def next_typed_frame(self) -> tuple[int, bytes] | None:
        """Like next_frame, with the type byte split off and the body copied only once.

        Raises: RemoteProtocolError as next_frame does, and if a frame has no type byte.
        """
        size = self._payload_size()
        if size is None:
            return None
        if size == 0:
            raise RemoteProtocolError("empty frame")
        self._size = None
        self._wanted = 4
        kind = self.take(1)[0]
        return kind, self.take(size - 1)

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes from the front, left where they are. For what precedes frames."""
        if self._gathered:
            self._queue_gathered()
        front = b""
        start = self._offset
        for piece in self._pieces:
            front += piece[start : start + count - len(front)]
            start = 0
            if len(front) == count:
                break
        return front

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes from the front, which must be there."""
        self._available -= count
        if self._gathered:
            self._queue_gathered()
        if not count:
            return b""
        pieces = self._pieces
        first = pieces[0]
        start = self._offset
        end = start + count
        if end < len(first):
            self._offset = end
            return first[start:end]
        if end == len(first):
            self._offset = 0
            pieces.popleft()
            return first[start:]  # the piece itself, not a copy, when it is the whole of it
        parts: list[bytes | memoryview] = [memoryview(first)[start:]]
        missing = end - len(first)
        pieces.popleft()
        while missing >= len(pieces[0]):
            part = pieces.popleft()
            missing -= len(part)
            parts.append(part)
            if not missing:
                break
        if missing:
            parts.append(memoryview(pieces[0])[:missing])
        self._offset = missing
        return b"".join(parts)

    def _payload_size(self) -> int | None:
        """The size of the next payload once all of it is there; its length is read on the way."""
        if self._available < self._wanted:
            if self._eof and self._size is not None:
                raise RemoteProtocolError("connection closed inside a frame")
            return None
        if self._size is not None:
            return self._size
        size = self._read_length()
        if size > self.limit:
            raise RemoteProtocolError(f"frame too large: {size} bytes (max {self.limit})")
        self._size = size
        self._wanted = size
        if self._available < size:
            if self._eof:
                raise RemoteProtocolError("connection closed inside a frame")
            return None
        return size

    def _read_length(self) -> int:
        if not self._gathered:
            # The usual case reads in place: slicing out four bytes would be a third of the work.
            first = self._pieces[0]
            end = self._offset + 4
            if end < len(first):
                (size,) = _LENGTH.unpack_from(first, self._offset)
                self._offset = end
                self._available -= 4
                return int(size)
        return int.from_bytes(self.take(4), "big")

    def _queue_gathered(self) -> None:
        self._pieces.append(bytes(self._gathered))
        self._gathered.clear()
