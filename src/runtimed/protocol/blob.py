"""Messages of the blob channel. Requests have the tag key `action`, responses none."""

from __future__ import annotations

import attrs

from runtimed.protocol.spelling import Bare

__all__ = ["BlobRequest", "BlobResponse", "Failed", "GetPort", "Port", "Store", "Stored"]


@attrs.frozen
class Store:
    """Store the bytes of the frame that follows."""

    media_type: str


class GetPort(Bare):
    """The port of the blob server."""

    __slots__ = ()


BlobRequest = Store | GetPort


@attrs.frozen
class Stored:
    """The blob's name: 64 hex digits."""

    hash: str


@attrs.frozen
class Port:
    """The blob server listens there, on 127.0.0.1."""

    port: int


@attrs.frozen
class Failed:
    """The request failed; the text is for people."""

    error: str


BlobResponse = Stored | Port | Failed
