from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from connection_pair import ConnectionPair, byte_by_byte, events_of
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_messages import FROM_CLIENT, FROM_DAEMON

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol import (
    CLIENT,
    DAEMON,
    MAX_FRAME,
    MAX_HANDSHAKE,
    NEED_DATA,
    Connection,
    blob,
    broadcasts,
    encode_broadcast,
    events,
    handshake,
    pool,
    requests,
    responses,
)
from runtimed.protocol.frames import FrameKind, encode_frame, encode_typed

PREAMBLE = bytes.fromhex("C0DE01AC02")
JOIN = handshake.NotebookSync("n")
HANDSHAKES: list[Any] = [
    handshake.Pool(),
    handshake.SettingsSync(),
    handshake.NotebookSync("n", "v2", "/w", "{}"),
    handshake.Blob(),
    handshake.PoolStateSubscribe(),
    handshake.OpenNotebook("/n.ipynb"),
    handshake.CreateNotebook("python"),
]


def daemon_that_received(*data: bytes) -> Connection:
    daemon = Connection(DAEMON)
    for piece in data:
        daemon.receive_data(piece)
    return daemon


def fault_of(connection: Connection) -> str:
    """The fault of the peer that comes next, and stays."""
    with pytest.raises(RemoteProtocolError) as caught:
        events_of(connection)
    with pytest.raises(RemoteProtocolError) as again:
        connection.next_event()
    assert str(again.value) == str(caught.value)
    return str(caught.value)


# Opening


def test_a_client_opens_with_preamble_and_handshake_in_one_piece() -> None:
    opening = Connection(CLIENT).open(handshake.Pool())
    assert opening == PREAMBLE + bytes.fromhex("00000012") + b'{"channel":"pool"}'


@pytest.mark.parametrize("opening", HANDSHAKES)
def test_the_handshake_is_the_daemons_first_event(opening: Any) -> None:
    daemon = daemon_that_received(Connection(CLIENT).open(opening))
    assert daemon.next_event() == opening
    assert daemon.next_event() is NEED_DATA
    assert daemon.handshake == opening
    assert not daemon.legacy


@pytest.mark.parametrize("opening", HANDSHAKES)
def test_every_channel_opens_byte_by_byte(opening: Any) -> None:
    ConnectionPair(opening, cut=byte_by_byte)


def test_a_client_opens_once_and_a_daemon_never() -> None:
    client = Connection(CLIENT)
    client.open(JOIN)
    with pytest.raises(LocalProtocolError):
        client.open(JOIN)
    with pytest.raises(LocalProtocolError):
        Connection(DAEMON).open(JOIN)
    with pytest.raises(LocalProtocolError):
        Connection(CLIENT).next_event()


def test_a_handshake_of_65536_bytes_is_read_and_one_byte_more_is_refused() -> None:
    def opening(size: int) -> bytes:
        text = b'{"channel":"open_notebook","path":"' + b"x" * size
        return text[: size - 2] + b'"}'

    fits = daemon_that_received(PREAMBLE, encode_frame(opening(MAX_HANDSHAKE)))
    assert isinstance(fits.next_event(), handshake.OpenNotebook)
    over = daemon_that_received(PREAMBLE, (MAX_HANDSHAKE + 1).to_bytes(4, "big"))
    assert fault_of(over) == "frame too large: 65537 bytes (max 65536)"


def test_a_client_does_not_send_a_handshake_that_is_too_large() -> None:
    with pytest.raises(LocalProtocolError, match=r"too large to send: \d+ bytes \(max 65536\)"):
        Connection(CLIENT).open(handshake.OpenNotebook("x" * MAX_HANDSHAKE))


def test_other_magic_bytes_are_refused() -> None:
    text = "invalid magic bytes: expected [C0, DE, 01, AC], got [C0, DE, 00, 0A]"
    assert fault_of(daemon_that_received(bytes.fromhex("C0DE000A"))) == text
    assert fault_of(daemon_that_received(*byte_by_byte(bytes.fromhex("C0DE000A02")))) == text


@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_another_protocol_version_is_refused(version: int) -> None:
    daemon = daemon_that_received(PREAMBLE[:4] + bytes([version]))
    assert fault_of(daemon) == f"protocol version mismatch: expected 2, got {version}"


@pytest.mark.parametrize(
    ("received", "text"),
    [
        (b"", "connection closed before preamble"),
        (PREAMBLE[:1], "connection closed inside the preamble"),
        (PREAMBLE[:4], "connection closed inside the preamble"),
        (PREAMBLE, "connection closed before handshake"),
        (PREAMBLE + b"\0\0\0", "connection closed before handshake"),
        (PREAMBLE + b"\0\0\0\x02{", "connection closed inside a frame"),
        (b"\0\0", "connection closed before handshake"),
    ],
)
def test_an_end_before_the_handshake_is_a_fault(received: bytes, text: str) -> None:
    daemon = Connection(DAEMON)
    if received:
        daemon.receive_data(received)
        assert daemon.next_event() is NEED_DATA
    daemon.receive_data(b"")
    assert fault_of(daemon) == text


@pytest.mark.parametrize(
    ("opening", "text"),
    [
        (b"", "invalid JSON in handshake"),
        (b"{", "invalid JSON in handshake"),
        (b"{}", "handshake without channel"),
        (b'{"channel":"chat"}', 'unknown handshake "chat"'),
        (b'{"channel":"open_notebook"}', 'invalid handshake "open_notebook"'),
    ],
)
def test_a_handshake_that_is_none_is_a_fault(opening: bytes, text: str) -> None:
    assert fault_of(daemon_that_received(PREAMBLE, encode_frame(opening))).startswith(text)


# Peers from before the preamble


@pytest.mark.parametrize("cut", [lambda data: [data], byte_by_byte])
def test_a_legacy_peer_can_ping(cut: Callable[[bytes], list[bytes]]) -> None:
    stream = encode_frame(b'{"channel":"pool"}') + encode_frame(b'{"type":"ping"}')
    daemon = daemon_that_received(*cut(stream))
    assert events_of(daemon) == [handshake.Pool(), events.PoolRequest(pool.Ping())]
    assert daemon.legacy
    assert daemon.send(events.PoolResponse(pool.Pong())) == encode_frame(b'{"type":"pong"}')


def test_a_legacy_handshake_that_is_too_large_is_refused_by_its_length() -> None:
    daemon = daemon_that_received(bytes.fromhex("00010001"))
    assert fault_of(daemon) == "legacy handshake frame too large: 65537 bytes"
    http = daemon_that_received(b"GET / HTTP/1.1\r\n")
    assert fault_of(http) == "legacy handshake frame too large: 1195725856 bytes"


def test_a_legacy_handshake_of_65536_bytes_is_awaited() -> None:
    assert daemon_that_received(bytes.fromhex("00010000")).next_event() is NEED_DATA


# Limits and faults after the handshake


def test_the_large_limit_holds_after_the_handshake() -> None:
    fits, over = ConnectionPair(JOIN), ConnectionPair(JOIN)
    assert fits.deliver(DAEMON, MAX_FRAME.to_bytes(4, "big")) == []
    over.daemon.receive_data((MAX_FRAME + 1).to_bytes(4, "big"))
    assert fault_of(over.daemon) == "frame too large: 104857601 bytes (max 104857600)"


def test_a_client_reads_frames_up_to_the_large_limit() -> None:
    fits, over = ConnectionPair(JOIN), ConnectionPair(JOIN)
    assert fits.deliver(CLIENT, MAX_FRAME.to_bytes(4, "big")) == []
    over.client.receive_data((MAX_FRAME + 1).to_bytes(4, "big"))
    assert fault_of(over.client) == "frame too large: 104857601 bytes (max 104857600)"


@pytest.mark.parametrize("role", [DAEMON, CLIENT])
def test_an_empty_typed_frame_is_a_fault(role: Any) -> None:
    end = ConnectionPair(JOIN).ends[role]
    end.receive_data(encode_frame(b""))
    assert fault_of(end) == "empty frame"


@pytest.mark.parametrize("role", [DAEMON, CLIENT])
@pytest.mark.parametrize("kind", [5, 0x7F, 0xFF])
def test_an_unknown_frame_type_is_a_fault(role: Any, kind: int) -> None:
    end = ConnectionPair(JOIN).ends[role]
    end.receive_data(encode_frame(bytes([kind]) + b"x"))
    assert fault_of(end) == f"unknown notebook frame type: 0x{kind:02x}"


def test_frames_of_the_other_direction_are_ignored() -> None:
    pair = ConnectionPair(JOIN)
    for kind in (FrameKind.RESPONSE, FrameKind.BROADCAST):
        assert pair.deliver(DAEMON, encode_typed(kind, b"?")) == [events.Ignored(kind)]
    request = encode_typed(FrameKind.REQUEST, b"?")
    assert pair.deliver(CLIENT, request) == [events.Ignored(FrameKind.REQUEST)]


def test_what_precedes_a_fault_still_arrives() -> None:
    pair = ConnectionPair(JOIN)
    pair.daemon.receive_data(encode_typed(FrameKind.SYNC, b"s") + encode_frame(b""))
    assert pair.daemon.next_event() == events.SyncMessage(b"s")
    assert fault_of(pair.daemon) == "empty frame"


def test_a_faulty_connection_keeps_nothing_of_what_is_received() -> None:
    pair = ConnectionPair(JOIN)
    pair.daemon.receive_data(encode_frame(b""))
    fault_of(pair.daemon)
    pair.daemon.receive_data(encode_typed(FrameKind.SYNC, b"s"))
    pair.daemon.receive_data(b"")
    assert fault_of(pair.daemon) == "empty frame"


@pytest.mark.parametrize("opening", HANDSHAKES)
@pytest.mark.parametrize("role", [DAEMON, CLIENT])
@pytest.mark.parametrize("received", [0, 3])
def test_the_peers_end_is_the_last_event(opening: Any, role: Any, received: int) -> None:
    end = ConnectionPair(opening).ends[role]
    end.receive_data(b"\0" * received + b"")
    end.receive_data(b"")
    assert [end.next_event() for _ in range(3)] == [events.Closed()] * 3


@pytest.mark.parametrize("opening", HANDSHAKES)
@pytest.mark.parametrize("role", [DAEMON, CLIENT])
def test_an_end_inside_a_frame_is_a_fault(opening: Any, role: Any) -> None:
    end = ConnectionPair(opening).ends[role]
    end.receive_data(b"\0\0\0\x05ab")
    end.receive_data(b"")
    assert fault_of(end) == "connection closed inside a frame"


# Farewells


def read_farewell(farewell: bytes) -> Any:
    assert int.from_bytes(farewell[:4], "big") == len(farewell) - 4
    return orjson.loads(farewell[4:])


def test_before_the_handshake_every_kind_of_client_can_read_the_farewell() -> None:
    daemon = daemon_that_received(PREAMBLE[:4] + b"\x03")
    farewell = daemon.farewell(fault_of(daemon))
    text = "protocol version mismatch: expected 2, got 3"
    assert read_farewell(farewell) == {
        "error": text,
        "protocol": "v2",
        "protocol_version": 2,
        "notebook_id": "",
        "cell_count": 0,
        "needs_trust_approval": False,
        "type": "error",
        "message": text,
    }
    replies: list[tuple[Any, object]] = [
        (JOIN, handshake.ProtocolCapabilities(error=text)),
        (handshake.OpenNotebook("/n"), handshake.NotebookConnectionInfo("", 0, False, error=text)),
        (handshake.Pool(), events.PoolResponse(pool.Error(text))),
        (handshake.Blob(), events.BlobResponse(blob.Failed(text))),
    ]
    for opening, expected in replies:
        client = Connection(CLIENT)
        client.open(opening)
        client.receive_data(farewell)
        client.receive_data(b"")
        assert events_of(client) == [expected, events.Closed()]


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        (JOIN, events.Response(responses.Error("no"))),
        (handshake.OpenNotebook("/n"), events.Response(responses.Error("no"))),
        (handshake.Pool(), events.PoolResponse(pool.Error("no"))),
        (handshake.Blob(), events.BlobResponse(blob.Failed("no"))),
    ],
)
def test_in_a_channel_the_farewell_is_an_error_of_that_channel(
    opening: Any, expected: object
) -> None:
    pair = ConnectionPair(opening)
    assert pair.deliver(CLIENT, pair.daemon.farewell("no")) == [expected]
    assert pair.daemon.farewell(RemoteProtocolError("no")) == pair.daemon.farewell("no")


@pytest.mark.parametrize("opening", [handshake.SettingsSync(), handshake.PoolStateSubscribe()])
def test_channels_without_errors_have_no_farewell(opening: Any) -> None:
    assert ConnectionPair(opening).daemon.farewell("no") == b""


@pytest.mark.parametrize("opening", HANDSHAKES)
def test_a_client_says_no_farewell(opening: Any) -> None:
    assert ConnectionPair(opening).client.farewell("no") == b""


def test_between_handshake_and_reply_the_farewell_is_the_reply() -> None:
    client, daemon = Connection(CLIENT), Connection(DAEMON)
    daemon.receive_data(client.open(JOIN))
    assert daemon.next_event() == JOIN
    client.receive_data(daemon.farewell("no"))
    assert client.next_event() == handshake.ProtocolCapabilities(error="no")


# Sending out of turn


def test_nothing_is_sent_before_the_handshake() -> None:
    with pytest.raises(LocalProtocolError, match="before the handshake"):
        Connection(CLIENT).send(events.SyncMessage(b""))
    with pytest.raises(LocalProtocolError, match="before the handshake"):
        Connection(DAEMON).send(handshake.ProtocolCapabilities())


def test_the_daemon_replies_first_and_with_the_reply_that_is_due() -> None:
    daemon = daemon_that_received(Connection(CLIENT).open(JOIN))
    daemon.next_event()
    with pytest.raises(LocalProtocolError, match="ProtocolCapabilities is due"):
        daemon.send(events.SyncMessage(b""))
    with pytest.raises(LocalProtocolError, match="ProtocolCapabilities is due"):
        daemon.send(handshake.NotebookConnectionInfo("n", 0, False))
    daemon.send(handshake.ProtocolCapabilities())
    with pytest.raises(LocalProtocolError, match="ProtocolCapabilities can't be sent"):
        daemon.send(handshake.ProtocolCapabilities())


def test_nothing_follows_a_reply_with_an_error() -> None:
    daemon = daemon_that_received(Connection(CLIENT).open(handshake.OpenNotebook("/n")))
    daemon.next_event()
    daemon.send(handshake.NotebookConnectionInfo("", 0, False, error="no"))
    with pytest.raises(LocalProtocolError, match="nothing follows"):
        daemon.send(events.SyncMessage(b""))
    assert daemon.farewell("no") == b""


@pytest.mark.parametrize("opening", HANDSHAKES)
@pytest.mark.parametrize("role", [DAEMON, CLIENT])
@pytest.mark.parametrize(
    "message", [events.Closed(), events.Ignored(3), JOIN, None, {"action": "get_heads"}]
)
def test_what_is_no_message_of_a_channel_is_not_sent(
    opening: Any, role: Any, message: object
) -> None:
    with pytest.raises(LocalProtocolError, match="can't be sent"):
        ConnectionPair(opening).ends[role].send(message)


def test_each_side_sends_only_its_own_messages() -> None:
    pair = ConnectionPair(JOIN)
    with pytest.raises(LocalProtocolError):
        pair.client.send(events.Response(responses.Ok()))
    with pytest.raises(LocalProtocolError):
        pair.client.send(broadcasts.KernelStatus("idle"))
    with pytest.raises(LocalProtocolError):
        pair.daemon.send(events.Request(requests.GetHeads()))


def test_one_encoding_of_a_broadcast_serves_every_peer() -> None:
    broadcast = broadcasts.ExecutionDone("c1", "e1", "ok")
    frame = encode_broadcast(broadcast)
    for _ in range(2):
        pair = ConnectionPair(JOIN)
        assert pair.daemon.send(broadcast) == frame
        assert pair.deliver(CLIENT, frame) == [events.Broadcast(broadcast)]


# Cut anywhere, mutated anyhow


def cut_at(cuts: list[int], data: bytes) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    return [piece for piece in pieces if piece]


def as_received(message: Any) -> Any:
    plain = isinstance(message, events.Response | events.SyncMessage | events.PresenceMessage)
    return message if plain else events.Broadcast(message)


CUTS = st.lists(st.integers(0, 5000), max_size=12)


@settings(max_examples=60, deadline=None)
@given(messages=st.lists(FROM_DAEMON, max_size=6), cuts=CUTS)
def test_a_client_reads_what_the_daemon_sent_however_it_is_cut(
    messages: list[Any], cuts: list[int]
) -> None:
    pair = ConnectionPair(JOIN, cut=functools.partial(cut_at, cuts))
    stream = b"".join(map(pair.daemon.send, messages))
    assert pair.deliver(CLIENT, stream) == list(map(as_received, messages))


@settings(max_examples=60, deadline=None)
@given(messages=st.lists(FROM_CLIENT, max_size=6), cuts=CUTS)
def test_the_daemon_reads_what_a_client_sent_however_it_is_cut(
    messages: list[Any], cuts: list[int]
) -> None:
    pair = ConnectionPair(JOIN, cut=functools.partial(cut_at, cuts))
    stream = b"".join(map(pair.client.send, messages))
    assert pair.deliver(DAEMON, stream) == messages


def mutated(stream: bytes, mutations: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, inserted in mutations:
        start = at % (len(stream) + 1)
        stream = stream[:start] + inserted + stream[start + removed :]
    return stream


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 4), st.binary(max_size=4)), max_size=4
)


@settings(max_examples=150, deadline=None)
@given(
    opening=st.sampled_from(HANDSHAKES),
    messages=st.lists(FROM_CLIENT, max_size=3),
    mutations=MUTATIONS,
    cuts=CUTS,
)
def test_a_daemon_raises_nothing_but_the_peers_fault(
    opening: Any, messages: list[Any], mutations: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    sender = Connection(CLIENT)
    join = Connection(CLIENT)
    join.open(JOIN)
    stream = sender.open(opening) + b"".join(map(join.send, messages))
    daemon = Connection(DAEMON)
    for piece in [*cut_at(cuts, mutated(stream, mutations)), b""]:
        daemon.receive_data(piece)
        try:
            events_of(daemon)
        except RemoteProtocolError as error:
            daemon.farewell(error)


@settings(max_examples=150, deadline=None)
@given(
    opening=st.sampled_from(HANDSHAKES),
    messages=st.lists(FROM_DAEMON, max_size=3),
    mutations=MUTATIONS,
    cuts=CUTS,
)
def test_a_client_raises_nothing_but_the_peers_fault(
    opening: Any, messages: list[Any], mutations: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    pair = ConnectionPair(JOIN)
    reply = encode_frame(b'{"protocol":"v2"}')
    stream = mutated(reply + b"".join(map(pair.daemon.send, messages)), mutations)
    client = Connection(CLIENT)
    client.open(opening)
    for piece in [*cut_at(cuts, stream), b""]:
        client.receive_data(piece)
        try:
            events_of(client)
        except RemoteProtocolError:
            pass
