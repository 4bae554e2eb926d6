"""What one side of a channel reads and writes once the handshake is over.

One small class for each side of each channel. Each reads the next frame as an event and encodes
what may be sent there; anything else is a LocalProtocolError. How connections begin and end is
known to `connection` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol import convert, events
from runtimed.protocol.frames import FrameKind, FrameReader, encode_frame, encode_typed

if TYPE_CHECKING:
    from runtimed.protocol.events import Event

__all__ = [
    "BlobClient",
    "BlobDaemon",
    "Channel",
    "NotebookClient",
    "NotebookDaemon",
    "PoolClient",
    "PoolDaemon",
    "PoolStateClient",
    "PoolStateDaemon",
    "Settings",
]

# Plain integers: comparing with an enum member costs more than the rest of the dispatch.
_SYNC, _REQUEST, _RESPONSE, _BROADCAST, _PRESENCE = map(int, FrameKind)


class Channel(Protocol):
    """One side of one channel."""

    def read(self, reader: FrameReader) -> Event | None:
        """The next event, None until more is received.

        Raises: RemoteProtocolError.
        """

    def encode(self, message: Any) -> bytes:
        """The frames that say this.

        Raises: LocalProtocolError.
        """

    def farewell(self, error: str) -> bytes:
        """One frame that tells the peer what it did wrong; nothing where it can't be told."""


def _refuse(message: object, channel: str) -> LocalProtocolError:
    return LocalProtocolError(f"{type(message).__name__} can't be sent on {channel}")


class NotebookDaemon:
    """Typed frames: sync, requests and presence come in; the rest goes out."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_typed_frame()
        if frame is None:
            return None
        kind, body = frame
        if kind == _SYNC:
            return events.SyncMessage(body)
        if kind == _REQUEST:
            try:
                return events.Request(*convert.load_request(body))
            except convert.Undecodable as error:
                return _unknown_request(error)
        if kind == _PRESENCE:
            return events.PresenceMessage(body)
        return _misplaced(kind)

    def encode(self, message: Any) -> bytes:
        if isinstance(message, events.SyncMessage):
            return encode_typed(FrameKind.SYNC, message.data)
        if isinstance(message, events.Response):
            body = convert.dump(message.response, message.id)
            return encode_typed(FrameKind.RESPONSE, body)
        if isinstance(message, events.PresenceMessage):
            return encode_typed(FrameKind.PRESENCE, message.data)
        if type(message).__module__ == "runtimed.protocol.broadcasts":
            return convert.encode_broadcast(message)
        raise _refuse(message, "a notebook channel by the daemon")

    def farewell(self, error: str) -> bytes:
        from runtimed.protocol.responses import Error

        return self.encode(events.Response(Error(error)))


class NotebookClient:
    """Typed frames: sync, requests and presence go out; the rest comes in."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_typed_frame()
        if frame is None:
            return None
        kind, body = frame
        if kind == _SYNC:
            return events.SyncMessage(body)
        if kind == _BROADCAST:
            try:
                return events.Broadcast(convert.load_broadcast(body))
            except convert.Undecodable as error:
                if error.tag is None or error.known:
                    raise
                return events.Ignored(kind)
        if kind == _RESPONSE:
            try:
                return events.Response(*convert.load_response(body))
            except convert.Undecodable as error:
                if error.tag is None:
                    raise
                # Only this request has failed, as far as the caller is concerned.
                from runtimed.protocol.responses import Error

                return events.Response(Error(str(error)), error.id)
        if kind == _PRESENCE:
            return events.PresenceMessage(body)
        return _misplaced(kind)

    def encode(self, message: Any) -> bytes:
        if isinstance(message, events.Request):
            return encode_typed(FrameKind.REQUEST, convert.dump(message.request, message.id))
        if isinstance(message, events.SyncMessage):
            return encode_typed(FrameKind.SYNC, message.data)
        if isinstance(message, events.PresenceMessage):
            return encode_typed(FrameKind.PRESENCE, message.data)
        raise _refuse(message, "a notebook channel by a client")

    def farewell(self, error: str) -> bytes:
        return b""


def _misplaced(kind: int) -> Event:
    """A frame of the other direction is ignored, one of an unknown kind is a fault."""
    if kind > _PRESENCE:
        raise RemoteProtocolError(f"unknown notebook frame type: 0x{kind:02x}")
    return events.Ignored(kind)


def _unknown_request(error: convert.Undecodable) -> events.UnknownRequest:
    """The event for a request nobody can carry out; without a tag it is a fault of the peer."""
    if error.tag is None:
        raise error
    return events.UnknownRequest(error.id, str(error))


class PoolDaemon:
    """Requests in, one response to each out."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_frame()
        if frame is None:
            return None
        try:
            return events.PoolRequest(*convert.load_pool_request(frame))
        except convert.Undecodable as error:
            return _unknown_request(error)

    def encode(self, message: Any) -> bytes:
        if isinstance(message, events.PoolResponse):
            return encode_frame(convert.dump(message.response, message.id))
        raise _refuse(message, "the pool channel by the daemon")

    def farewell(self, error: str) -> bytes:
        from runtimed.protocol.pool import Error

        return self.encode(events.PoolResponse(Error(error)))


class PoolClient:
    """Requests out, one response to each in."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_frame()
        if frame is None:
            return None
        try:
            return events.PoolResponse(*convert.load_pool_response(frame))
        except convert.Undecodable as error:
            if error.tag is None:
                raise
            from runtimed.protocol.pool import Error

            return events.PoolResponse(Error(str(error)), error.id)

    def encode(self, message: Any) -> bytes:
        if isinstance(message, events.PoolRequest):
            return encode_frame(convert.dump(message.request, message.id))
        raise _refuse(message, "the pool channel by a client")

    def farewell(self, error: str) -> bytes:
        return b""


class BlobDaemon:
    """A store request is two frames: what it is, then the bytes themselves."""

    def __init__(self) -> None:
        self._media_type: str | None = None
        self._skip = False

    def read(self, reader: FrameReader) -> Event | None:
        from runtimed.protocol.blob import Store

        while (frame := reader.next_frame()) is not None:
            if self._skip:
                self._skip = False
                continue
            if self._media_type is not None:
                media_type, self._media_type = self._media_type, None
                return events.StoreBlob(media_type, frame)
            try:
                request = convert.load_blob_request(frame)
            except convert.Undecodable as error:
                # The bytes of a botched store request still follow; they must not be read as one.
                self._skip = error.tag == "store"
                return _unknown_request(error)
            if not isinstance(request, Store):
                return events.GetBlobPort()
            self._media_type = request.media_type
        return None

    def encode(self, message: Any) -> bytes:
        if isinstance(message, events.BlobResponse):
            return encode_frame(convert.dump(message.response))
        raise _refuse(message, "the blob channel by the daemon")

    def farewell(self, error: str) -> bytes:
        from runtimed.protocol.blob import Failed

        return self.encode(events.BlobResponse(Failed(error)))


class BlobClient:
    """Blobs out, their names in."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_frame()
        if frame is None:
            return None
        return events.BlobResponse(convert.load_blob_response(frame))

    def encode(self, message: Any) -> bytes:
        from runtimed.protocol.blob import GetPort, Store

        if isinstance(message, events.StoreBlob):
            request = encode_frame(convert.dump(Store(message.media_type)))
            return request + encode_frame(message.data)
        if isinstance(message, events.GetBlobPort):
            return encode_frame(convert.dump(GetPort()))
        raise _refuse(message, "the blob channel by a client")

    def farewell(self, error: str) -> bytes:
        return b""


class Settings:
    """Untyped frames, each a sync message, the same on both sides. Errors can't be told."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_frame()
        return None if frame is None else events.SyncMessage(frame)

    def encode(self, message: Any) -> bytes:
        if isinstance(message, events.SyncMessage):
            return encode_frame(message.data)
        raise _refuse(message, "the settings channel")

    def farewell(self, error: str) -> bytes:
        return b""


class PoolStateDaemon:
    """Pool states out; nothing a subscriber sends means anything."""

    def read(self, reader: FrameReader) -> Event | None:
        return None if reader.next_frame() is None else events.Ignored(None)

    def encode(self, message: Any) -> bytes:
        from runtimed.protocol.pool import PoolState

        if isinstance(message, PoolState):
            return encode_frame(convert.dump(message))
        raise _refuse(message, "the pool state channel by the daemon")

    def farewell(self, error: str) -> bytes:
        return b""


class PoolStateClient:
    """Pool states in."""

    def read(self, reader: FrameReader) -> Event | None:
        frame = reader.next_frame()
        return None if frame is None else convert.load_pool_state(frame)

    def encode(self, message: Any) -> bytes:
        raise _refuse(message, "the pool state channel by a client")

    def farewell(self, error: str) -> bytes:
        return b""
