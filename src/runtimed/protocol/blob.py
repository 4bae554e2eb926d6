"""Messages of the blob channel. Requests have the tag key `action`, responses none."""

from __future__ import annotations

import attrs

from runtimed.protocol.spelling import Bare, Wire

__all__ = ["BlobRequest", "BlobResponse", "Failed", "GetPort", "Port", "Store", "Stored"]


@attrs.frozen(eq=False, repr=False)
class Store(Wire):
    """Store the bytes of the frame that follows."""

    media_type: str


class GetPort(Bare):
    """The port of the blob server."""

    __slots__ = ()


BlobRequest = Store | GetPort


@attrs.frozen(eq=False, repr=False)
class Stored(Wire):
    """The blob's name: 64 hex digits."""

    hash: str


@attrs.frozen(eq=False, repr=False)
class Port(Wire):
    """The blob server listens there, on 127.0.0.1."""

    port: int


@attrs.frozen(eq=False, repr=False)
class Failed(Wire):
    """The request failed; the text is for people."""

    error: str


BlobResponse = Stored | Port | Failed
