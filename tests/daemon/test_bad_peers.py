"""Peers that break the protocol, through the whole connection handler, without sockets."""

from __future__ import annotations

import logging
import random
import struct
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.protocol import blob, broadcasts, events, handshake, pool, requests, responses
from runtimed.protocol.connection import PREAMBLE, Connection
from runtimed.protocol.frames import MAX_FRAME, MAX_HANDSHAKE, encode_frame
from runtimed.rooms import peer as room_peer
from wire_peer import read_to_end


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Loopback]:
    async with open_loopback(tmp_path) as loopback:
        yield loopback


@pytest.fixture(autouse=True)
def no_traceback_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.INFO)
    yield
    failures = [record for record in caplog.get_records("call") if record.exc_info]
    assert not failures, [record.getMessage() for record in failures]


async def is_well(daemon: Loopback) -> bool:
    """Whether somebody else can still do everything."""
    peer = await daemon.join("a-good-room")
    peer.replica.document.insert_cell("good", "code", "print fine")
    await peer.sync()
    await peer.ask(requests.LaunchKernel("python", "auto"))
    queued = await peer.ask(requests.ExecuteCell("good"))
    assert isinstance(queued, responses.CellQueued)
    done = await peer.hear_done("good")
    peer.replica.document.delete_cell("good")
    await peer.sync()
    await peer.stream.aclose()
    return done.outcome == "ok"


async def pass_time(clock: trio.testing.MockClock, seconds: float) -> None:
    """Let time pass, with everybody doing at each moment what there is to do."""
    for _ in range(10):
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(seconds / 10)
    await trio.testing.wait_all_tasks_blocked()


def sync_handshake(notebook_id: str = "room") -> bytes:
    hello = {"channel": "notebook_sync", "notebook_id": notebook_id, "protocol": "v2"}
    return PREAMBLE + encode_frame(orjson.dumps(hello))


POOL_HANDSHAKE = PREAMBLE + encode_frame(b'{"channel":"pool"}')


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "too large", id="another protocol"),
        pytest.param(b"\xc0\xde\x00\x00\x02", "magic", id="wrong magic"),
        pytest.param(PREAMBLE[:4] + b"\x01", "version mismatch", id="older version"),
        pytest.param(PREAMBLE[:4] + b"\xff", "version mismatch", id="newer version"),
        pytest.param(PREAMBLE[:3], "preamble", id="cut in the preamble"),
        pytest.param(PREAMBLE, "before handshake", id="cut before the handshake"),
        pytest.param(PREAMBLE + b"\0\0\0\x10abc", "inside a frame", id="cut in the handshake"),
        pytest.param(
            PREAMBLE + struct.pack(">I", MAX_HANDSHAKE + 1), "too large", id="large handshake"
        ),
        pytest.param(PREAMBLE + encode_frame(b"\xff{}"), "", id="handshake is no JSON"),
        pytest.param(PREAMBLE + encode_frame(b"[]"), "", id="handshake is no object"),
        pytest.param(PREAMBLE + encode_frame(b'{"channel":"x"}'), "x", id="unknown channel"),
        pytest.param(
            PREAMBLE + encode_frame(b'{"channel":"settings_sync"}'),
            None,
            id="a channel that there is not",
        ),
    ],
)
async def test_a_peer_that_starts_wrong_is_told_why_and_closed(
    daemon: Loopback, sent: bytes, expected: str | None
) -> None:
    stream = daemon.connect_raw()
    await stream.send_all(sent)
    await stream.send_eof()  # type: ignore[attr-defined]
    answer = await read_to_end(stream)
    if expected is not None:
        [size] = struct.unpack(">I", answer[:4])
        words = orjson.loads(answer[4:])
        assert size == len(answer) - 4
        assert expected in words["error"]
    assert await is_well(daemon)


async def test_who_only_looks_whether_there_is_a_daemon_is_not_logged(
    daemon: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    for sent, logged in ((b"", []), (PREAMBLE[:3], ["WARNING"])):
        caplog.clear()
        stream = daemon.connect_raw()
        if sent:
            await stream.send_all(sent)
        await stream.send_eof()  # type: ignore[attr-defined]
        await read_to_end(stream)
        dropped = [one for one in caplog.records if "connection dropped" in one.getMessage()]
        assert [one.levelname for one in dropped] == logged


async def test_a_peer_is_told_why_by_a_daemon_that_is_held_up(
    daemon: Loopback, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    farewell = Connection.farewell

    def held_up(connection: Connection, words: str) -> bytes:
        mock_clock.jump(5)
        return farewell(connection, words)

    monkeypatch.setattr(Connection, "farewell", held_up)
    stream = daemon.connect_raw()
    await stream.send_all(PREAMBLE + encode_frame(b'{"channel":"x"}'))
    assert b"error" in await read_to_end(stream)


async def test_a_legacy_client_without_a_preamble_may_ping(daemon: Loopback) -> None:
    stream = daemon.connect_raw()
    await stream.send_all(encode_frame(b'{"channel":"pool"}') + encode_frame(b'{"type":"ping"}'))
    await stream.send_eof()  # type: ignore[attr-defined]
    assert await read_to_end(stream) == encode_frame(b'{"type":"pong"}')


async def test_a_peer_that_says_nothing_is_told_off_after_ten_seconds(
    daemon: Loopback, mock_clock: trio.testing.MockClock
) -> None:
    answers: list[bytes] = []

    async def listen(stream: trio.abc.Stream) -> None:
        answers.append(await read_to_end(stream))

    async with trio.open_nursery() as listeners:
        for beginning in (b"", PREAMBLE, PREAMBLE + b"\0\0"):
            stream = daemon.connect_raw()
            await stream.send_all(beginning)
            listeners.start_soon(listen, stream)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(9.9)
        await trio.testing.wait_all_tasks_blocked()
        assert not answers
        mock_clock.jump(0.2)
    assert len(answers) == 3
    assert all(b"handshake timeout" in answer for answer in answers)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(struct.pack(">I", MAX_FRAME + 1), "too large", id="announces too much"),
        pytest.param(b"\xff\xff\xff\xff", "too large", id="announces far too much"),
        pytest.param(b"\0\0\0\0", "empty frame", id="empty frame"),
        pytest.param(encode_frame(b"\x07abc"), "unknown notebook frame type", id="unknown kind"),
        pytest.param(encode_frame(b"\0garbage"), "sync", id="garbage for a sync message"),
        pytest.param(encode_frame(b"\0"), "sync", id="empty sync message"),
        pytest.param(encode_frame(b"\x01{not json"), "", id="request is no JSON"),
        pytest.param(encode_frame(b"\x01[1]"), "", id="request is no object"),
        pytest.param(encode_frame(b'\x01{"a":1}'), "", id="request without a tag"),
        pytest.param(b"\0\0\0\x20\0cut", "inside a frame", id="cut in a frame"),
    ],
)
async def test_a_fault_in_a_room_ends_that_peer_alone_with_a_readable_error(
    daemon: Loopback, sent: bytes, expected: str
) -> None:
    other = await daemon.join("room")
    faulty = await daemon.join("room")
    await faulty.stream.send_all(sent)
    await faulty.stream.send_eof()  # type: ignore[attr-defined]
    words = await faulty.last_words()
    assert words
    assert expected in words
    other.replica.document.insert_cell("c", "code", "after")
    await other.sync()
    assert daemon.listed()["room"].active_peers == 1
    assert daemon.rooms.find("room").document.source("c") == "after"  # type: ignore[union-attr]


async def test_frames_of_the_other_direction_are_ignored(daemon: Loopback) -> None:
    peer = await daemon.join("room")
    for kind in (2, 3, 4):
        await peer.stream.send_all(encode_frame(bytes([kind]) + b"{}"))
    assert isinstance(await peer.ask(requests.GetQueueState()), responses.QueueState)


async def test_an_unknown_request_gets_an_error_and_the_connection_lives(daemon: Loopback) -> None:
    peer = await daemon.join("room")
    unknown = orjson.dumps({"action": "make_coffee", "id": "x"})
    broken = orjson.dumps({"action": "execute_cell", "cell_id": 7, "id": 8})
    await peer.stream.send_all(encode_frame(b"\x01" + unknown) + encode_frame(b"\x01" + broken))
    answers = [await peer.hear(lambda event: isinstance(event, events.Response)) for _ in range(2)]
    assert [answer.id for answer in answers] == ["x", 8]
    assert "make_coffee" in answers[0].response.error
    assert "execute_cell" in answers[1].response.error
    assert isinstance(await peer.ask(requests.GetQueueState()), responses.QueueState)


async def test_an_unknown_pool_request_gets_an_error_and_the_connection_lives(
    daemon: Loopback,
) -> None:
    stream = daemon.connect_raw()
    await stream.send_all(
        POOL_HANDSHAKE
        + encode_frame(b'{"type":"make_coffee"}')
        + encode_frame(b'{"type":"inspect_notebook"}')
        + encode_frame(b'{"type":"ping"}')
    )
    await stream.send_eof()  # type: ignore[attr-defined]
    answer = await read_to_end(stream)
    assert answer.endswith(encode_frame(b'{"type":"pong"}'))
    assert b"make_coffee" in answer


@pytest.mark.parametrize(
    "hello",
    [
        handshake.OpenNotebook("/tmp/a\0b.ipynb"),
        handshake.OpenNotebook("/tmp/" + "x" * 5000 + ".ipynb"),
        handshake.OpenNotebook("/tmp/" + "x" * 300 + ".ipynb"),
        handshake.OpenNotebook("/dev/null/x.ipynb"),
        handshake.NotebookSync("/tmp/a\0b.ipynb"),
        handshake.OpenNotebook("/dev/null"),
        handshake.OpenNotebook("/tmp"),
    ],
    ids=repr,
)
async def test_a_path_that_can_not_be_is_a_readable_refusal(daemon: Loopback, hello: Any) -> None:
    peer = daemon.connect()
    reply = await peer.open(hello)
    assert reply.error
    assert isinstance(await peer.next_event(), events.Closed)
    assert not daemon.listed()
    assert await is_well(daemon)


async def test_blobs_are_stored_and_the_faulty_store_is_told(daemon: Loopback) -> None:
    peer = daemon.connect()
    await peer.open(handshake.Blob())
    await peer.send(events.StoreBlob("text/plain", b"hello"))
    stored = (await peer.next_event()).response
    assert isinstance(stored, blob.Stored)
    assert daemon.blobs.read(stored.hash) == b"hello"
    await peer.send(events.GetBlobPort())
    assert (await peer.next_event()).response == blob.Port(port=1)
    await peer.stream.send_all(encode_frame(b'{"action":"make_coffee"}'))
    assert isinstance((await peer.next_event()).response, blob.Failed)
    await peer.stream.send_all(struct.pack(">I", MAX_FRAME + 1))
    assert "too large" in await peer.last_words()


async def test_pool_state_is_pushed_to_a_subscriber_whatever_it_sends(daemon: Loopback) -> None:
    peer = daemon.connect()
    await peer.open(handshake.PoolStateSubscribe())
    assert isinstance(await peer.next_event(), pool.PoolState)
    await peer.stream.send_all(encode_frame(b"nonsense"))
    await peer.stream.aclose()
    assert await is_well(daemon)


async def test_a_faulty_subscriber_to_the_pool_state_is_dropped(daemon: Loopback) -> None:
    peer = daemon.connect()
    await peer.open(handshake.PoolStateSubscribe())
    await peer.next_event()
    await peer.stream.send_all(b"\xff\xff\xff\xff")
    assert isinstance(await peer.next_event(), events.Closed)


async def test_shutdown_is_agreed_to_and_asked_for(daemon: Loopback) -> None:
    peer = daemon.connect()
    await peer.open(handshake.Pool())
    assert await peer.ask_pool(pool.Shutdown()) == pool.ShuttingDown()
    await daemon.shutdown.wait()


VALID_REQUESTS: list[Any] = [
    requests.LaunchKernel("python", "auto", "/tmp/x.ipynb"),
    requests.QueueCell("c", "1"),
    requests.ExecuteCell("c", heads=("ab" * 32,)),
    requests.ClearOutputs("c"),
    requests.InterruptExecution(),
    requests.GetKernelInfo(),
    requests.GetQueueState(),
    requests.RunAllCells(),
    requests.SendComm({"header": {"msg_type": "comm_msg"}, "content": {}}),
    requests.GetHistory("p", 10, True),
    requests.Complete("ab", 1),
    requests.SaveNotebook(False, "/nonexistent/x.ipynb"),
    requests.CloneNotebook("/nonexistent/x.ipynb"),
    requests.SyncEnvironment(),
    requests.GetDocBytes(),
    requests.GetRawMetadata("k"),
    requests.SetRawMetadata("k", "v"),
    requests.GetMetadataSnapshot(),
    requests.SetMetadataSnapshot("{}"),
    requests.GetTrust(),
    requests.ApproveTrust("x"),
    requests.GetHeads(),
    requests.EnsureMetadata("c", ("a", "b"), {"c": 1}),
    requests.LeaveNotebook(False),
]

STRANGE: list[Any] = [
    None, True, -1, 0, 2**70, 1.5, "", "\0", "\u2028", "x" * 70_000, [], {}, [None], {"a": {}},
    [[["deep"]]], "/", "../..", "\ud7ff", "/nonexistent/a\0b", "/nonexistent",
]  # fmt: skip


async def test_every_strange_value_in_every_request_gets_some_answer(
    daemon: Loopback, mock_clock: trio.testing.MockClock
) -> None:
    """Each request, each of its keys replaced by each strange value."""
    peer = await daemon.join("room")
    peer.replica.document.insert_cell("c", "code", "1")
    await peer.sync()
    await peer.ask(requests.LaunchKernel("python", "auto"))
    mock_clock.autojump_threshold = 0.05  # a request for heads that never come waits half a minute
    for request in VALID_REQUESTS:
        frame = peer.connection.send(events.Request(request, 1))
        content = orjson.loads(frame[5:])
        for key in content.keys() - {"id"}:
            for number, value in enumerate(STRANGE):
                changed = orjson.dumps(
                    {**content, key: str(value) if isinstance(value, int) and value > 2**64
                     else value, "id": f"{key}-{number}"}
                )  # fmt: skip
                if key == "action" and not isinstance(value, str):
                    continue  # without a readable tag it is a fault of the peer
                await peer.stream.send_all(encode_frame(b"\x01" + changed))
                wanted = f"{key}-{number}"
                await peer.hear(partial(is_response_to, wanted))
    mock_clock.autojump_threshold = float("inf")
    assert await is_well(daemon)


async def test_mutated_bytes_harm_nobody_else(daemon: Loopback) -> None:
    """Valid conversations with a few bytes changed, removed or doubled, anywhere."""
    dice = random.Random(7)
    other = await daemon.join("room")
    model = await daemon.join("room")
    model.replica.document.insert_cell("m", "code", "print 1")
    message = model.replica.outgoing()
    assert message is not None
    conversation = sync_handshake() + encode_frame(b"\0" + message)
    conversation += b"".join(model_frame(request) for request in VALID_REQUESTS)
    for _ in range(300):
        data = bytearray(conversation)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(data))
            kind = dice.randrange(4)
            if kind == 0:
                data[at] = dice.randrange(256)
            elif kind == 1:
                del data[at : at + dice.randint(1, 9)]
            elif kind == 2:
                data[at:at] = data[at : at + dice.randint(1, 9)]
            else:
                del data[at + 1 :]
        stream = daemon.connect_raw()
        await stream.send_all(bytes(data))
        await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    other.replica.document.insert_cell("still", "code", "here")
    await other.sync()
    assert await is_well(daemon)


def is_response_to(request_id: str, event: Any) -> bool:
    return isinstance(event, events.Response) and event.id == request_id


def model_frame(request: Any) -> bytes:
    from runtimed.protocol import convert

    return encode_frame(b"\x01" + convert.dump(request))


async def test_frames_cut_at_every_byte_never_desynchronise(daemon: Loopback) -> None:
    talker = await daemon.join("room")
    peer = await daemon.join("room")
    peer.replica.document.insert_cell("c", "code", "wait")
    await peer.sync()
    await peer.ask(requests.LaunchKernel("python", "auto"))
    await peer.ask(requests.ExecuteCell("c"))
    [kernel] = daemon.kernels.launched
    for number in range(40):
        if number % 4 == 0:
            kernel.print_more(f"{number}\n")  # broadcasts and sync messages in between
            talker.replica.document.insert_cell(f"t{number}", "code", "")
            await talker.send_edits()
        frame = peer.connection.send(events.Request(requests.GetQueueState(), number))
        for at in range(len(frame)):
            await peer.stream.send_all(frame[at : at + 1])
            await trio.lowlevel.checkpoint()
        found = await peer.hear(lambda event: isinstance(event, events.Response))
        assert found.id == number
    kernel.finish()
    assert (await peer.hear_done("c")).outcome == "ok"


async def test_a_peer_that_never_reads_is_dropped_after_half_a_minute_and_harms_nobody(
    daemon: Loopback, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = daemon.connect(trio.testing.lockstep_stream_pair)
    await stuck.join("room")
    peer = await daemon.join("room")
    peer.replica.document.insert_cell("c", "code", "wait")
    await peer.sync()
    await peer.ask(requests.LaunchKernel("python", "auto"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.ask, requests.ExecuteCell("c"))
        await pass_time(mock_clock, 0.1)  # the answer waits a moment for what follows it
    [kernel] = daemon.kernels.launched
    for number in range(29):
        kernel.print_more(f"line {number}\n")
        await pass_time(mock_clock, 1)
        assert daemon.listed()["room"].active_peers == 2
    await pass_time(mock_clock, 2)
    assert daemon.listed()["room"].active_peers == 1
    assert "does not read" in caplog.text
    await peer.hear(
        lambda event: (
            isinstance(event, events.Broadcast)
            and isinstance(event.broadcast, broadcasts.Output)
            and "line 28" in (event.broadcast.manifest or "")
        )
    )
    kernel.finish()
    assert (await peer.hear_done("c")).outcome == "ok"


async def test_a_peer_whose_outbox_overflows_is_dropped_and_costs_no_more(
    daemon: Loopback, monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(room_peer, "OUTBOX_FRAMES", 50)
    stuck = daemon.connect(trio.testing.lockstep_stream_pair)
    await stuck.join("room")
    room = daemon.rooms.find("room")
    assert room is not None
    [state] = room.peers
    for number in range(500):
        room.broadcast(broadcasts.KernelStatus(status=str(number), cell_id=None))
    assert state.overrun
    assert len(state.take()) <= 50
    mock_clock.jump(31)
    await trio.testing.wait_all_tasks_blocked()
    assert not room.peers


async def test_a_faulty_peer_that_does_not_read_either_is_dropped_quietly(
    daemon: Loopback, mock_clock: trio.testing.MockClock
) -> None:
    faulty = daemon.connect(trio.testing.lockstep_stream_pair)
    await faulty.join("room")
    other = await daemon.join("room")
    other.replica.document.insert_cell("c", "code", "the writer of the other is in the middle")
    await other.sync()
    await trio.testing.wait_all_tasks_blocked()
    await faulty.stream.send_all(b"\xff\xff\xff\xff")
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(11)
    await trio.testing.wait_all_tasks_blocked()
    assert daemon.listed()["room"].active_peers == 1
    assert await is_well(daemon)


async def test_a_peer_that_floods_with_requests_is_read_no_further_than_its_queue(
    daemon: Loopback,
) -> None:
    peer = await daemon.join("room")
    daemon.kernels.hold = trio.Event()
    launch = model_frame(requests.LaunchKernel("python", "auto"))  # no id: strictly in order
    question = model_frame(requests.GetQueueState())
    await peer.stream.send_all(launch + question * 5000)
    await trio.testing.wait_all_tasks_blocked()
    other = await daemon.join("room")
    assert isinstance(await other.ask(requests.GetQueueState()), responses.QueueState)
    daemon.kernels.hold.set()
    count = 0
    while count < 5001:
        await peer.hear(lambda event: isinstance(event, events.Response))
        count += 1
