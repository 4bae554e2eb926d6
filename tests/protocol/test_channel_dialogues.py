"""Conversations on each channel: who says what, and what the other side makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from connection_pair import ConnectionPair, byte_by_byte, whole

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol import (
    CLIENT,
    DAEMON,
    NEED_DATA,
    Connection,
    blob,
    broadcasts,
    events,
    handshake,
    pool,
    requests,
    responses,
)
from runtimed.protocol.frames import FrameKind, encode_frame, encode_typed

JOIN = handshake.NotebookSync("n")


@pytest.fixture(params=[whole, byte_by_byte], ids=["whole", "byte by byte"])
def cut(request: pytest.FixtureRequest) -> Any:
    return request.param


# Notebook channels


def test_executing_a_cell_with_broadcasts_in_between(cut: Any) -> None:
    pair = ConnectionPair(JOIN, cut)
    sync = events.SyncMessage(b"\x42edit")
    execute = events.Request(requests.ExecuteCell("c1", heads=["ab"]), 7)
    # Edit and request go out in one write.
    data = pair.client.send(sync) + pair.client.send(execute)
    assert pair.deliver(DAEMON, data) == [sync, execute]

    busy = broadcasts.KernelStatus("busy", "c1")
    queued = events.Response(responses.CellQueued("c1", "e1"), 7)
    output = broadcasts.Output("c1", "stream", "9f" * 32, 0, "e1", '{"output_type":"stream"}')
    outputs = events.SyncMessage(b"\x42outputs")
    done = broadcasts.ExecutionDone("c1", "e1", "ok")
    data = b"".join(map(pair.daemon.send, [busy, queued, output, outputs, done]))
    assert pair.deliver(CLIENT, data) == [
        events.Broadcast(busy),
        queued,
        events.Broadcast(output),
        outputs,
        events.Broadcast(done),
    ]


def test_both_sides_talk_at_once_and_every_byte_is_a_boundary() -> None:
    up = [
        events.SyncMessage(b"x" * 300),
        events.Request(requests.GetQueueState()),
        events.PresenceMessage(b"\xa1\x01\x02"),
    ]
    down = [
        broadcasts.QueueChanged("c1", ["c2"]),
        events.SyncMessage(b"y" * 300),
        events.Response(responses.QueueState("c1", ["c2"])),
    ]
    reference = ConnectionPair(JOIN)
    upward = b"".join(map(reference.client.send, up))
    downward = b"".join(map(reference.daemon.send, down))
    for boundary in range(max(len(upward), len(downward))):
        pair = ConnectionPair(JOIN)
        heard_above: list[Any] = []
        heard_below: list[Any] = []
        for part in (slice(None, boundary), slice(boundary, None)):
            for to, stream, heard in (
                (DAEMON, upward, heard_above),
                (CLIENT, downward, heard_below),
            ):
                if stream[part]:
                    heard += pair.deliver(to, stream[part])
        assert heard_above == up
        assert heard_below == [events.Broadcast(broadcasts.QueueChanged("c1", ["c2"])), *down[1:]]


def test_opening_a_file_tells_where_the_blobs_are(cut: Any) -> None:
    client, daemon = Connection(CLIENT), Connection(DAEMON)
    opening = handshake.OpenNotebook("/n.ipynb")
    daemon.receive_data(client.open(opening))
    assert daemon.next_event() == opening
    reply = handshake.NotebookConnectionInfo(
        "/n.ipynb", 0, True, daemon_version="0.1.0", blob_port=5000, blob_root="/b"
    )
    for piece in cut(daemon.send(reply)):
        assert client.next_event() is NEED_DATA
        client.receive_data(piece)
    assert client.next_event() == reply


def test_a_client_may_ask_before_the_reply_has_come() -> None:
    client, daemon = Connection(CLIENT), Connection(DAEMON)
    heads = events.Request(requests.GetHeads(), "h")
    daemon.receive_data(client.open(JOIN) + client.send(heads))
    assert daemon.next_event() == JOIN
    assert daemon.next_event() == heads


def test_a_reply_with_an_error_is_read_and_the_end_after_it() -> None:
    client, daemon = Connection(CLIENT), Connection(DAEMON)
    opening = handshake.OpenNotebook("/n")
    daemon.receive_data(client.open(opening))
    assert daemon.next_event() == opening
    refusal = handshake.NotebookConnectionInfo("", 0, False, error="Cannot access notebook '/n'")
    client.receive_data(daemon.send(refusal))
    client.receive_data(b"")
    assert client.next_event() == refusal
    assert client.next_event() == events.Closed()


def test_an_unknown_request_is_answered_and_the_connection_lives(cut: Any) -> None:
    pair = ConnectionPair(JOIN, cut)
    newer = encode_typed(FrameKind.REQUEST, b'{"action":"fly","id":"r1"}')
    assert pair.deliver(DAEMON, newer) == [events.UnknownRequest("r1", 'unknown request "fly"')]
    answer = events.Response(responses.Error('unknown request "fly"'), "r1")
    pair.daemon_sends(answer, [answer])
    heads = events.Request(requests.GetHeads(), 2)
    pair.client_sends(heads, [heads])


def test_a_request_without_a_required_key_is_answered_too() -> None:
    pair = ConnectionPair(JOIN)
    lacking = encode_typed(FrameKind.REQUEST, b'{"action":"save_notebook"}')
    [unknown] = pair.deliver(DAEMON, lacking)
    assert isinstance(unknown, events.UnknownRequest)
    assert unknown.id is None
    assert "save_notebook" in unknown.error
    assert "format_cells" in unknown.error


def test_a_request_that_is_no_json_ends_the_connection() -> None:
    pair = ConnectionPair(JOIN)
    with pytest.raises(RemoteProtocolError, match="invalid JSON in request"):
        pair.deliver(DAEMON, encode_typed(FrameKind.REQUEST, b"{"))
    [told] = pair.deliver(CLIENT, pair.daemon.farewell("invalid JSON in request"))
    assert told == events.Response(responses.Error("invalid JSON in request"))


def test_broadcasts_of_a_newer_daemon_are_ignored() -> None:
    pair = ConnectionPair(JOIN)
    for body in (
        b'{"event":"weather","sun":true}',
        b'{"event":"env_progress","env_type":"uv","phase":"thinking"}',
    ):
        frame = encode_typed(FrameKind.BROADCAST, body)
        assert pair.deliver(CLIENT, frame) == [events.Ignored(FrameKind.BROADCAST)]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"event":"execution_done"}'])
def test_a_broken_broadcast_is_the_daemons_fault(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ConnectionPair(JOIN).deliver(CLIENT, encode_typed(FrameKind.BROADCAST, body))


def test_a_response_of_a_newer_daemon_fails_its_request_only() -> None:
    pair = ConnectionPair(JOIN)
    frame = encode_typed(FrameKind.RESPONSE, b'{"result":"flown","id":4}')
    failed = events.Response(responses.Error('unknown response "flown"'), 4)
    assert pair.deliver(CLIENT, frame) == [failed]


def test_many_messages_in_one_piece_come_out_in_order() -> None:
    pair = ConnectionPair(JOIN)
    sent = [broadcasts.ExecutionDone(f"c{i}", outcome="ok") for i in range(500)]
    stream = b"".join(map(pair.daemon.send, sent))
    assert pair.deliver(CLIENT, stream) == list(map(events.Broadcast, sent))


# Pool


def test_pool_requests_are_answered_in_order(cut: Any) -> None:
    pair = ConnectionPair(handshake.Pool(), cut)
    take = events.PoolRequest(pool.Take("uv"), 1)
    rooms = events.PoolRequest(pool.ListRooms())
    asked = pair.client.send(take) + pair.client.send(rooms)
    assert pair.deliver(DAEMON, asked) == [take, rooms]
    env = events.PoolResponse(pool.Env(pool.PooledEnv("uv", "/e", "/e/bin/python")), 1)
    room = pool.RoomInfo("n", 1, True, kernel_type="python", kernel_pid=4711)
    pair.daemon_sends(env, [env])
    listed = events.PoolResponse(pool.RoomsList([room]))
    pair.daemon_sends(listed, [listed])


def test_an_unknown_pool_request_leaves_the_connection_alive() -> None:
    pair = ConnectionPair(handshake.Pool())
    newer = encode_frame(b'{"type":"drain","id":9}')
    assert pair.deliver(DAEMON, newer) == [events.UnknownRequest(9, 'unknown pool request "drain"')]
    ping = events.PoolRequest(pool.Ping())
    pair.client_sends(ping, [ping])


def test_an_unknown_pool_response_is_an_error() -> None:
    pair = ConnectionPair(handshake.Pool())
    assert pair.deliver(CLIENT, encode_frame(b'{"type":"drained","id":9}')) == [
        events.PoolResponse(pool.Error('unknown pool response "drained"'), 9)
    ]


def test_subscribers_of_the_pool_state_are_told_and_have_nothing_to_say(cut: Any) -> None:
    pair = ConnectionPair(handshake.PoolStateSubscribe(), cut)
    failing = pool.PoolState(pool.PoolError("no network", 3, 60, "numpy"), None)
    for state in (pool.PoolState(None, None), failing):
        pair.daemon_sends(state, [state])
    assert pair.deliver(DAEMON, encode_frame(b"hello")) == [events.Ignored(None)]
    with pytest.raises(LocalProtocolError):
        pair.client.send(failing)


# Settings


def test_settings_are_synced_in_untyped_frames(cut: Any) -> None:
    pair = ConnectionPair(handshake.SettingsSync(), cut)
    message = events.SyncMessage(b"\x42settings")
    assert pair.daemon_sends(message, [message]) == encode_frame(b"\x42settings")
    pair.client_sends(message, [message])


# Blobs


def test_storing_a_blob_is_one_event_of_two_frames(cut: Any) -> None:
    pair = ConnectionPair(handshake.Blob(), cut)
    store = events.StoreBlob("image/png", b"\x89PNG")
    data = pair.client_sends(store, [store])
    assert data == (
        encode_frame(b'{"action":"store","media_type":"image/png"}') + encode_frame(b"\x89PNG")
    )
    stored = events.BlobResponse(blob.Stored("ab" * 32))
    pair.daemon_sends(stored, [stored])
    pair.client_sends(events.GetBlobPort(), [events.GetBlobPort()])
    port = events.BlobResponse(blob.Port(54321))
    pair.daemon_sends(port, [port])


def test_a_blob_may_be_empty_or_look_like_a_request() -> None:
    pair = ConnectionPair(handshake.Blob())
    for data in (b"", b'{"action":"get_port"}'):
        store = events.StoreBlob("text/plain", data)
        pair.client_sends(store, [store])


def test_a_failed_store_leaves_the_connection_alive() -> None:
    pair = ConnectionPair(handshake.Blob())
    failed = events.BlobResponse(blob.Failed("disk full"))
    pair.daemon_sends(failed, [failed])
    pair.client_sends(events.GetBlobPort(), [events.GetBlobPort()])


def test_the_bytes_of_a_botched_store_are_not_taken_for_a_request() -> None:
    pair = ConnectionPair(handshake.Blob())
    [unknown] = pair.deliver(DAEMON, encode_frame(b'{"action":"store"}'))
    assert isinstance(unknown, events.UnknownRequest)
    assert "media_type" in unknown.error
    assert pair.deliver(DAEMON, encode_frame(b"\x89PNG")) == []
    pair.client_sends(events.GetBlobPort(), [events.GetBlobPort()])


def test_the_old_shape_of_blob_requests_is_not_accepted() -> None:
    pair = ConnectionPair(handshake.Blob())
    with pytest.raises(RemoteProtocolError, match="blob request without action"):
        pair.deliver(DAEMON, encode_frame(b'{"Store":{"media_type":"image/png"}}'))
