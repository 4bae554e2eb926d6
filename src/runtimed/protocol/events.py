"""What Connection.next_event gives and Connection.send takes, apart from the plain messages.

A handshake and its reply, broadcasts that are sent, and pool states travel as themselves; the
classes here wrap what needs an id, raw bytes or a mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from runtimed.protocol.spelling import Bare, Wire

if TYPE_CHECKING:  # a pool client needs none of the notebook's messages, nor their import time
    from runtimed.protocol.blob import BlobResponse as AnyBlobResponse
    from runtimed.protocol.broadcasts import NotebookBroadcast
    from runtimed.protocol.handshake import (
        Handshake,
        NotebookConnectionInfo,
        ProtocolCapabilities,
    )
    from runtimed.protocol.pool import PoolRequest as AnyPoolRequest
    from runtimed.protocol.pool import PoolResponse as AnyPoolResponse
    from runtimed.protocol.pool import PoolState
    from runtimed.protocol.requests import NotebookRequest
    from runtimed.protocol.responses import NotebookResponse

__all__ = [
    "BlobResponse",
    "Broadcast",
    "Closed",
    "Event",
    "GetBlobPort",
    "Ignored",
    "PoolRequest",
    "PoolResponse",
    "PresenceMessage",
    "Request",
    "RequestId",
    "Response",
    "StoreBlob",
    "SyncMessage",
    "UnknownRequest",
]

RequestId = int | str
"""Chosen by the client, echoed by the daemon; None stands for a peer that doesn't use ids."""


@attrs.frozen(eq=False, repr=False)
class SyncMessage(Wire):
    """One encoded Automerge sync message, on a notebook or settings channel."""

    data: bytes


@attrs.frozen(eq=False, repr=False)
class PresenceMessage(Wire):
    """One presence body (CBOR), not looked into."""

    data: bytes


@attrs.frozen(eq=False, repr=False)
class Request(Wire):
    """A request on a notebook channel."""

    request: NotebookRequest
    id: RequestId | None = None


@attrs.frozen(eq=False, repr=False)
class Response(Wire):
    """The answer to a request on a notebook channel."""

    response: NotebookResponse
    id: RequestId | None = None


@attrs.frozen(eq=False, repr=False)
class Broadcast(Wire):
    """A broadcast, as a client receives it. The daemon sends the bare broadcast."""

    broadcast: NotebookBroadcast


@attrs.frozen(eq=False, repr=False)
class PoolRequest(Wire):
    """A request on the pool channel."""

    request: AnyPoolRequest
    id: RequestId | None = None


@attrs.frozen(eq=False, repr=False)
class PoolResponse(Wire):
    """The answer to a request on the pool channel."""

    response: AnyPoolResponse
    id: RequestId | None = None


@attrs.frozen(eq=False, repr=False)
class UnknownRequest(Wire):
    """A request this side can't do anything with.

    Answer with an error response (this id, this text) and go on: the connection is in order.
    """

    id: RequestId | None
    error: str


@attrs.frozen(eq=False, repr=False)
class StoreBlob(Wire):
    """Store these bytes: two frames on the wire, one event here."""

    media_type: str
    data: bytes


class GetBlobPort(Bare):
    """Ask for the port of the blob server."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class BlobResponse(Wire):
    """An answer on the blob channel."""

    response: AnyBlobResponse


@attrs.frozen(eq=False, repr=False)
class Ignored(Wire):
    """A frame that means nothing in this direction, or a broadcast of a newer daemon.

    `kind` is the frame's type byte, None on channels without typed frames.
    """

    kind: int | None


class Closed(Bare):
    """The peer has closed the connection, between two frames. Nothing comes after it."""

    __slots__ = ()


if TYPE_CHECKING:
    Event = (
        Handshake
        | ProtocolCapabilities
        | NotebookConnectionInfo
        | PoolState
        | SyncMessage
        | PresenceMessage
        | Request
        | Response
        | Broadcast
        | PoolRequest
        | PoolResponse
        | UnknownRequest
        | StoreBlob
        | GetBlobPort
        | BlobResponse
        | Ignored
        | Closed
    )
    """Whatever Connection.next_event may give, except NEED_DATA."""
else:
    Event = object
