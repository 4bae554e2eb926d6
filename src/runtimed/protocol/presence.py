"""Presence: who is where in a notebook, as CBOR bodies of frame kind 04.

Bodies in and values out, and back. What a body must look like is known here alone; who is in a
room, and what of it a peer is told, is not.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

import attrs
import cbor2

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol.spelling import snake_case

__all__ = [
    "DAEMON_ID",
    "KERNEL_STATES",
    "MAX_BODY",
    "NO_LABEL",
    "ChannelData",
    "Cursor",
    "Custom",
    "Heartbeat",
    "KernelState",
    "Left",
    "PeerState",
    "PresenceBody",
    "Selection",
    "Snapshot",
    "Update",
    "channel_of",
    "clean_label",
    "decode",
    "encode",
    "snapshot_size",
]

#: Largest body, in bytes; both sides drop what is larger.
MAX_BODY = 4096

#: The pseudo peer under which the daemon speaks of its kernel.
DAEMON_ID: Final = "daemon"

#: What a peer without a name is called.
NO_LABEL: Final = "peer"

KERNEL_STATES: Final = frozenset({"not_started", "starting", "idle", "busy", "errored", "shutdown"})

_MAX_LABEL = 64
_UINT32 = 2**32 - 1

#: Nothing in a body is nested deeper than a channel's data in a snapshot, with some to spare for
#: keys that are ignored.
_MAX_DEPTH = 16

#: The tag that says "this is CBOR" and nothing else; it may precede any body.
_SELF_DESCRIBED = b"\xd9\xd9\xf7"

# Values


def _numbers_of(data: Iterable[int]) -> tuple[int, ...]:
    return tuple(data)


def _values_of(data: Iterable[ChannelData]) -> tuple[ChannelData, ...]:
    return tuple(data)


def _peers_of(peers: Iterable[PeerState]) -> tuple[PeerState, ...]:
    return tuple(peers)


@attrs.frozen
class Cursor:
    """A place in a cell's text. Lines and columns count from 0, columns in characters."""

    cell_id: str
    line: int
    column: int


@attrs.frozen
class Selection:
    """A stretch of a cell's text; the head is the end that moves."""

    cell_id: str
    anchor_line: int
    anchor_col: int
    head_line: int
    head_col: int


@attrs.frozen
class KernelState:
    """What the kernel does; only the daemon says it. `status` is one of KERNEL_STATES."""

    status: str
    env_source: str


@attrs.frozen
class Custom:
    """Unsigned integers whose meaning clients agree upon."""

    data: tuple[int, ...] = attrs.field(converter=_numbers_of)


ChannelData: TypeAlias = Cursor | Selection | KernelState | Custom


@attrs.frozen
class PeerState:
    """All that is known of a peer: at most one value for each channel."""

    peer_id: str
    label: str
    channels: tuple[ChannelData, ...] = attrs.field(converter=_values_of)


@attrs.frozen
class Update:
    """A peer's new value for one channel. A client's own `peer_id` means nothing."""

    peer_id: str
    data: ChannelData
    label: str | None = None


@attrs.frozen
class Snapshot:
    """Peers as they are now, to replace what was known of them; others stay."""

    peer_id: str
    peers: tuple[PeerState, ...] = attrs.field(converter=_peers_of)


@attrs.frozen
class Left:
    """A peer has gone."""

    peer_id: str


@attrs.frozen
class Heartbeat:
    """A peer is still there."""

    peer_id: str


PresenceBody: TypeAlias = Update | Snapshot | Left | Heartbeat

_CHANNELS: Mapping[str, type[ChannelData]] = {
    snake_case(cls.__name__): cls for cls in (Cursor, Selection, KernelState, Custom)
}
_NAMES: Mapping[type[ChannelData], str] = {cls: name for name, cls in _CHANNELS.items()}
_FIELDS = {cls: tuple(field.name for field in attrs.fields(cls)) for cls in _NAMES}


def channel_of(data: ChannelData) -> str:
    """The name of the channel that data of this kind belongs to."""
    return _NAMES[type(data)]


# Labels

# Zero-width, bidirectional and variation-selector characters that a name could hide in.
_INVISIBLE = frozenset(
    chr(point)
    for first, last in (
        (0x00AD, 0x00AD),
        (0x034F, 0x034F),
        (0x061C, 0x061C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180E, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x2060),
        (0x2066, 0x2069),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xE0100, 0xE01EF),
    )
    for point in range(first, last + 1)
)


def clean_label(label: str | None) -> str:
    """A peer's name as others may see it: no invisible characters, at most 64 others.

    Special cases: NO_LABEL if nothing is left. Lone surrogates go, too: they can't be sent.
    """
    visible = (
        letter
        for letter in (label or "").strip()
        if letter not in _INVISIBLE and unicodedata.category(letter) not in ("Cc", "Cs")
    )
    return "".join(visible)[:_MAX_LABEL].strip() or NO_LABEL


# Writing


def encode(body: PresenceBody) -> bytes:
    """A body as CBOR.

    Raises: LocalProtocolError if it is larger than MAX_BODY or holds what can't be written.
    """
    try:
        data = _encode(body)
    except (cbor2.CBOREncodeError, UnicodeEncodeError) as error:
        raise LocalProtocolError(f"presence can't be sent: {error}") from error
    if len(data) > MAX_BODY:
        raise LocalProtocolError(f"presence too large: {len(data)} bytes (max {MAX_BODY})")
    return data


def snapshot_size(peers: Sequence[PeerState]) -> int:
    """The size of a snapshot from the daemon, in bytes, whether or not it may be sent."""
    return len(_encode(Snapshot(DAEMON_ID, peers)))


def _encode(body: PresenceBody) -> bytes:
    if isinstance(body, Update):
        return _encode_update(body)
    if isinstance(body, Snapshot):
        peers = [_peer_map(peer) for peer in body.peers]
        return cbor2.dumps({"type": "snapshot", "peer_id": body.peer_id, "peers": peers})
    return cbor2.dumps({"type": snake_case(type(body).__name__), "peer_id": body.peer_id})


def _encode_update(update: Update) -> bytes:
    """Updates alone are indefinite maps, as other implementations of the protocol write them."""
    raw: dict[str, Any] = {"type": "update", "peer_id": update.peer_id}
    if update.label is not None:
        raw["peer_label"] = update.label
    raw |= _channel_map(update.data)
    # So small a map has its length in its first byte, which is all that differs.
    return b"\xbf" + cbor2.dumps(raw)[1:] + b"\xff"


def _peer_map(peer: PeerState) -> dict[str, Any]:
    channels = [_channel_map(data) for data in peer.channels]
    return {"peer_id": peer.peer_id, "peer_label": peer.label, "channels": channels}


def _channel_map(data: ChannelData) -> dict[str, Any]:
    if isinstance(data, Custom):
        return {"channel": "custom", "data": list(data.data)}
    fields = {name: getattr(data, name) for name in _FIELDS[type(data)]}
    return {"channel": channel_of(data), "data": fields}


# Reading


def _refuse_tag(*_: object) -> NoReturn:
    raise RemoteProtocolError("invalid presence: tagged values are not expected")


#: What the decoder would otherwise make of its own accord: dates, numbers of any size, patterns,
#: addresses, references. Nothing here uses a tag, and some of them are work to decode.
_TAGS = dict.fromkeys(
    (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000),
    _refuse_tag,
)


def decode(body: bytes) -> PresenceBody:
    """The value in a body.

    Special cases: unknown keys are ignored, and in a snapshot what is said on unknown channels.
    Raises: RemoteProtocolError.
    """
    if len(body) > MAX_BODY:
        raise RemoteProtocolError(f"presence too large: {len(body)} bytes (max {MAX_BODY})")
    try:
        raw = cbor2.loads(
            body.removeprefix(_SELF_DESCRIBED),
            tag_hook=_refuse_tag,
            semantic_decoders=_TAGS,
            max_depth=_MAX_DEPTH,
            strict_hashable_types=True,
        )
    except (cbor2.CBORDecodeError, ValueError) as error:
        raise RemoteProtocolError(f"invalid presence: {error}") from error
    kind = _text(_map(raw), "type")
    peer_id = _text(raw, "peer_id")
    if kind == "update":
        return Update(peer_id, _channel_data(raw), _label(raw))
    if kind == "snapshot":
        return Snapshot(peer_id, [_peer(entry) for entry in _list(raw, "peers")])
    if kind == "left":
        return Left(peer_id)
    if kind == "heartbeat":
        return Heartbeat(peer_id)
    raise RemoteProtocolError(f'unknown presence "{kind[:100]}"')


def _peer(raw: Any) -> PeerState:
    entries = _list(_map(raw), "channels")
    known = [entry for entry in entries if _text(_map(entry), "channel") in _CHANNELS]
    return PeerState(
        _text(raw, "peer_id"), _label(raw) or NO_LABEL, [_channel_data(entry) for entry in known]
    )


def _channel_data(raw: Mapping[str, Any]) -> ChannelData:
    channel = _text(raw, "channel")
    cls = _CHANNELS.get(channel)
    if cls is None:
        raise RemoteProtocolError(f'unknown presence channel "{channel[:100]}"')
    if cls is Custom:
        return Custom(_numbers(_list(raw, "data")))
    data = _map(raw.get("data"))
    if cls is KernelState:
        status = _text(data, "status")
        if status not in KERNEL_STATES:
            raise RemoteProtocolError(f'unknown kernel state "{status[:100]}"')
        return KernelState(status, _text(data, "env_source"))
    cell_id = _text(data, "cell_id")
    if cls is Cursor:
        return Cursor(cell_id, _position(data, "line"), _position(data, "column"))
    return Selection(
        cell_id,
        _position(data, "anchor_line"),
        _position(data, "anchor_col"),
        _position(data, "head_line"),
        _position(data, "head_col"),
    )


def _map(raw: Any) -> Mapping[str, Any]:
    if type(raw) is not dict:
        raise RemoteProtocolError("invalid presence: expected a map")
    return raw


def _list(raw: Mapping[str, Any], key: str) -> list[Any]:
    found = raw.get(key)
    if type(found) is not list:
        raise RemoteProtocolError(f"invalid presence: {key} must be an array")
    return found


def _text(raw: Mapping[str, Any], key: str) -> str:
    found = raw.get(key)
    if type(found) is not str:
        raise RemoteProtocolError(f"invalid presence: {key} must be a text")
    return found


def _label(raw: Mapping[str, Any]) -> str | None:
    return None if raw.get("peer_label") is None else _text(raw, "peer_label")


def _position(raw: Mapping[str, Any], key: str) -> int:
    found = raw.get(key)
    if type(found) is not int or not 0 <= found <= _UINT32:
        raise RemoteProtocolError(f"invalid presence: {key} must be an unsigned 32-bit number")
    return found


def _numbers(found: list[Any]) -> list[int]:
    if not all(type(number) is int and number >= 0 for number in found):
        raise RemoteProtocolError("invalid presence: custom data must be unsigned numbers")
    return found
