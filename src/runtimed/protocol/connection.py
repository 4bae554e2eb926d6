"""One connection between a client and the daemon, without the I/O.

Bytes go in with `receive_data`, events come out of `next_event`, and `send` returns bytes; it can't
tell a socket from a test. A connection goes through preamble and handshake to the channel that the
handshake named, and stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import orjson

from runtimed.errors import LocalProtocolError, NothingSaid, RemoteProtocolError
from runtimed.protocol import channels, convert, events, handshake
from runtimed.protocol.convert import encode_broadcast
from runtimed.protocol.frames import MAX_FRAME, MAX_HANDSHAKE, FrameReader, encode_frame

if TYPE_CHECKING:
    from runtimed.protocol.channels import Channel
    from runtimed.protocol.events import Event
    from runtimed.protocol.handshake import Handshake

__all__ = [
    "CLIENT",
    "DAEMON",
    "MAGIC",
    "NEED_DATA",
    "PREAMBLE",
    "Connection",
    "NeedData",
    "Role",
    "encode_broadcast",
]

MAGIC = b"\xc0\xde\x01\xac"
PREAMBLE = MAGIC + bytes([handshake.PROTOCOL_VERSION])


class Role(Enum):
    """Which side of a connection this is."""

    DAEMON = "daemon"
    CLIENT = "client"


DAEMON: Final = Role.DAEMON
CLIENT: Final = Role.CLIENT


class NeedData(Enum):
    """Type of NEED_DATA."""

    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return self.name


NEED_DATA: Final = NeedData.NEED_DATA
"""What next_event gives when it can't say more before more is received."""


# Who talks how, once the handshake is over: (daemon's side, client's side).
_CHANNELS: Mapping[type, tuple[Callable[[], Channel], Callable[[], Channel]]] = {
    handshake.NotebookSync: (channels.NotebookDaemon, channels.NotebookClient),
    handshake.OpenNotebook: (channels.NotebookDaemon, channels.NotebookClient),
    handshake.CreateNotebook: (channels.NotebookDaemon, channels.NotebookClient),
    handshake.Pool: (channels.PoolDaemon, channels.PoolClient),
    handshake.Blob: (channels.BlobDaemon, channels.BlobClient),
    handshake.SettingsSync: (channels.Settings, channels.Settings),
    handshake.PoolStateSubscribe: (channels.PoolStateDaemon, channels.PoolStateClient),
}

# What the daemon has to say, untyped, before the channel proper begins.
_REPLIES: Mapping[type, type] = {
    handshake.NotebookSync: handshake.ProtocolCapabilities,
    handshake.OpenNotebook: handshake.NotebookConnectionInfo,
    handshake.CreateNotebook: handshake.NotebookConnectionInfo,
}


class Connection:
    """The state of one connection, for either side.

    Special cases: a RemoteProtocolError is final. It is raised again by every later next_event,
    and what is received after it is dropped; `send` and `farewell` go on working.
    """

    def __init__(self, role: Role) -> None:
        self.role = role
        self.handshake: Handshake | None = None
        self.legacy = False
        """Whether the peer has sent no preamble, as applications before version 2 do."""
        self._reader = FrameReader(MAX_HANDSHAKE if role is DAEMON else MAX_FRAME)
        self._channel: Channel | None = None
        self._reply_due: type | None = None  # the handshake's reply, until it is sent or received
        self._refused = False  # that reply was an error: nothing follows it
        self._fault: str | None = None
        self._read: Callable[[], Event | None]
        self._read = self._read_preamble if role is DAEMON else self._not_open

    def __repr__(self) -> str:
        stage = "before the handshake" if self.handshake is None else repr(self.handshake)
        fault = "" if self._fault is None else f" fault={self._fault!r}"
        return f"<Connection {self.role.value} {stage}{fault}>"

    def open(self, handshake: Handshake) -> bytes:
        """Begin as a client: preamble and handshake, in one piece.

        Raises: LocalProtocolError if this is the daemon's side, or open already.
        """
        if self.role is not CLIENT or self.handshake is not None:
            raise LocalProtocolError("only a client opens a connection, and once")
        opening = convert.dump(handshake)
        if len(opening) > MAX_HANDSHAKE:
            raise LocalProtocolError(
                f"frame too large to send: {len(opening)} bytes (max {MAX_HANDSHAKE})"
            )
        self._enter(handshake)
        return PREAMBLE + encode_frame(opening)

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take what has been received; no bytes mean that the peer has closed."""
        if self._fault is None:
            self._reader.receive_data(data)

    def next_event(self) -> Event | NeedData:
        """The next thing that the received bytes mean, or NEED_DATA.

        The daemon's first event is a handshake. A client's first one, on notebook channels, is
        the reply to it. Closed comes last, again and again.

        Raises: RemoteProtocolError if the peer has broken the protocol. Its text may be told to
            the peer, see `farewell`.
        """
        if self._fault is not None:
            raise RemoteProtocolError(self._fault)
        try:
            event = self._read()
        except RemoteProtocolError as error:
            self._fault = str(error)
            self._reader = FrameReader()  # lets go of what was received
            raise
        if event is not None:
            return event
        return events.Closed() if self._reader.ended else NEED_DATA

    def send(self, message: Any) -> bytes:
        """The bytes that say this to the peer.

        The daemon sends the handshake's reply first, where there is one, then what the channel
        allows: see `channels`.

        Raises: LocalProtocolError if the message has no place on this channel, comes before the
            handshake or its reply, or is too large.
        """
        if self._channel is None:
            raise LocalProtocolError("nothing can be sent before the handshake")
        if self.role is DAEMON:
            if self._refused:
                raise LocalProtocolError("nothing follows a handshake reply with an error")
            if self._reply_due is not None:
                return self._send_reply(message)
        return self._channel.encode(message)

    def farewell(self, error: str | RemoteProtocolError) -> bytes:
        """The daemon's last words before it closes because of a fault of the peer.

        One frame that the peer can read in the present phase. Empty where the channel has no way
        to say it, and for a client.
        """
        if self.role is not DAEMON or self._refused:
            return b""
        text = str(error)
        if self._channel is not None and self._reply_due is None:
            return self._channel.farewell(text)
        # The keys that clients of the notebook and the pool channel look at, as nobody knows yet
        # which one this is; blob clients look at `error` too.
        last_words = {
            "error": text,
            "protocol": handshake.PROTOCOL,
            "protocol_version": handshake.PROTOCOL_VERSION,
            "notebook_id": "",
            "cell_count": 0,
            "needs_trust_approval": False,
        }
        if self._channel is None:
            last_words |= {"type": "error", "message": text}
        return encode_frame(orjson.dumps(last_words))

    # Phases, in order. Each reads one event, or returns None while it can't.

    def _read_preamble(self) -> Event | None:
        front = self._reader.peek(len(PREAMBLE))
        if not front:
            if self._reader.eof:
                raise NothingSaid("connection closed before preamble")
            return None
        if front[0] != MAGIC[0]:
            return self._read_legacy_length(front)
        if len(front) >= len(MAGIC) and not front.startswith(MAGIC):
            raise RemoteProtocolError(
                f"invalid magic bytes: expected {_hex(MAGIC)}, got {_hex(front[:4])}"
            )
        if len(front) < len(PREAMBLE):
            if self._reader.eof:
                raise RemoteProtocolError("connection closed inside the preamble")
            return None
        if front != PREAMBLE:
            raise RemoteProtocolError(
                f"protocol version mismatch: expected {PREAMBLE[-1]}, got {front[-1]}"
            )
        self._reader.take(len(PREAMBLE))
        self._read = self._read_handshake
        return self._read_handshake()

    def _read_legacy_length(self, front: bytes) -> Event | None:
        """No preamble: these bytes are the length of the handshake itself."""
        self.legacy = True
        if len(front) >= 4:
            size = int.from_bytes(front[:4], "big")
            if size > MAX_HANDSHAKE:
                raise RemoteProtocolError(f"legacy handshake frame too large: {size} bytes")
            self._read = self._read_handshake
        return self._read_handshake()

    def _read_handshake(self) -> Event | None:
        frame = self._reader.next_frame()
        if frame is None:
            if self._reader.ended:
                raise RemoteProtocolError("connection closed before handshake")
            return None
        opening = convert.load_handshake(frame)
        self._reader.limit = MAX_FRAME
        self._enter(opening)
        return opening

    def _enter(self, opening: Handshake) -> None:
        kind = type(opening)
        daemon_side, client_side = _CHANNELS[kind]
        self.handshake = opening
        self._channel = daemon_side() if self.role is DAEMON else client_side()
        self._reply_due = _REPLIES.get(kind)
        if self.role is CLIENT and self._reply_due is not None:
            self._read = self._read_reply
        else:
            self._read = self._read_channel

    def _not_open(self) -> Event | None:
        raise LocalProtocolError("a client opens the connection first")

    def _read_reply(self) -> Event | None:
        frame = self._reader.next_frame()
        if frame is None:
            return None
        reply: handshake.ProtocolCapabilities | handshake.NotebookConnectionInfo
        if self._reply_due is handshake.ProtocolCapabilities:
            reply = convert.load_protocol_capabilities(frame)
        else:
            reply = convert.load_connection_info(frame)
        self._reply_due = None
        self._read = self._read_channel
        return reply

    def _read_channel(self) -> Event | None:
        assert self._channel is not None, "the handshake names the channel"
        return self._channel.read(self._reader)

    def _send_reply(self, message: Any) -> bytes:
        assert self._reply_due is not None
        if type(message) is not self._reply_due:
            raise LocalProtocolError(
                f"{self._reply_due.__name__} is due, {type(message).__name__} can't be sent yet"
            )
        reply = encode_frame(convert.dump(message))
        self._reply_due = None
        self._refused = getattr(message, "error", None) is not None
        return reply


def _hex(data: bytes) -> str:
    return "[" + ", ".join(f"{byte:02X}" for byte in data) + "]"
