"""The protocol's own list of checks for an implementation, by number, and where its known weaknesses
are tested.

| weakness of others | tested by |
|---|---|
| W1 frames lost when a wait is given up | `test_check_10`, `daemon/test_bad_peers` (frames cut at every byte), `client/test_async_session` (cancelling a wait) |
| W2 a long request holds its connection up | `test_w2` |
| W3 no request ids | `test_w3` |
| W4 a launch holds everybody up | `rooms/test_rooms` (rooms are listed and others served while a kernel launches) |
| W5 lost completions | `integration/test_thirty_cells`, `messages/test_queue` |
| W6 a dead kernel claims to run | `rooms/test_rooms` (a dead kernel gives every waiting cell its outcome and may be replaced) |
| W7 done twice, no outcome | `test_check_09`, `test_w7` |
| W8 `clear_output`, stdin | `rooms/test_rooms` (clear output), `integration/test_bad_cells` (input) |
| W9 progressive load, unreadable files | `test_check_04`, `rooms/test_rooms` (a notebook that can not be read is a clear error) |
| W10 eviction timers, orphan rooms | `rooms/test_rooms` (leaving, rejoining and leaving; joining and leaving at once; shutdown_notebook) |
| W11 a path joined by id shadows the file | `test_w11` |
| W12 presence of the kernel | `daemon/test_presence_channel`, `rooms/test_presence_machine` |
| W13 widget state | `rooms/test_room_widgets`, `messages/test_comms` |
| errors that close without a word | `daemon/test_bad_peers`, `daemon/test_mutated_messages` |
| pool subscribers never read | `daemon/test_bad_peers` (a faulty subscriber) |
| unsaved edits of a file lost | `integration/test_ends` (unsaved edits of a file survive the daemon) |
"""  # noqa: E501 - a table

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from daemon_home import DaemonHome
from loopback import Loopback, open_loopback
from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol import broadcasts, convert, events, handshake, requests, responses
from runtimed.protocol.connection import CLIENT, DAEMON, NEED_DATA, PREAMBLE, Connection
from runtimed.protocol.frames import MAX_FRAME, FrameReader, encode_frame
from runtimed.protocol.presence import Cursor, Update, decode, encode
from stock_client import SYNC, StockClient, read_blob, stock_client
from wire_peer import read_to_end


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Loopback]:
    async with open_loopback(tmp_path) as loopback:
        yield loopback


def write_notebook(path: Path, count: int) -> None:
    """A notebook of so many cells, each with an output that names it."""
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{number}",
            "metadata": {},
            "source": f"print({number})",
            "execution_count": number + 1,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": f"{number}\n"}],
        }
        for number in range(count)
    ]
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )


async def stock(daemon: Loopback, **hello: Any) -> StockClient:
    client = StockClient(daemon.connect_raw())
    await client.open(**hello)
    return client


def test_check_01_the_vectors_of_preamble_and_presence() -> None:
    assert bytes.fromhex("c0de01ac02") == PREAMBLE
    opening = Connection(CLIENT).open(handshake.Pool())
    assert opening == bytes.fromhex("c0de01ac02") + encode_frame(b'{"channel":"pool"}')
    # The others are in tests/protocol/test_presence.py.
    data = bytes.fromhex(
        "bf64747970656675706461746567706565725f6964627031676368616e6e656c66637572736f726464617461"
        "a36763656c6c5f6964626331646c696e650366636f6c756d6e07ff"
    )
    assert decode(data) == Update("p1", Cursor("c1", 3, 7))
    assert encode(Update("p1", Cursor("c1", 3, 7))) == data


@pytest.mark.parametrize(("size", "accepted"), [(65_536, True), (65_537, False)])
async def test_check_01_a_handshake_may_have_64_kib(
    daemon: Loopback, size: int, accepted: bool
) -> None:
    hello = b'{"channel":"pool","padding":""}'
    hello = hello[:-2] + b"x" * (size - len(hello)) + hello[-2:]
    stream = daemon.connect_raw()
    await stream.send_all(PREAMBLE + encode_frame(hello) + encode_frame(b'{"type":"ping"}'))
    await stream.send_eof()  # type: ignore[attr-defined]
    answer = await read_to_end(stream)
    if accepted:
        assert answer == encode_frame(b'{"type":"pong"}')
    else:
        assert b"frame too large: 65537 bytes (max 65536)" in answer


def test_check_01_any_other_frame_may_have_100_mib() -> None:
    assert MAX_FRAME == 104_857_600
    reader = FrameReader(MAX_FRAME)
    reader.receive_data(struct.pack(">I", 104_857_600))
    assert reader.next_frame() is None
    reader.receive_data(bytes(104_857_600))
    assert len(reader.next_frame() or b"") == 104_857_600
    reader.receive_data(struct.pack(">I", 104_857_601))
    with pytest.raises(RemoteProtocolError, match="frame too large: 104857601 bytes"):
        reader.next_frame()
    assert len(encode_frame(bytes(104_857_600))) == 104_857_604
    with pytest.raises(LocalProtocolError, match="frame too large to send: 104857601 bytes"):
        encode_frame(bytes(104_857_601))


async def test_check_02_a_ping_without_a_preamble(daemon: Loopback) -> None:
    stream = daemon.connect_raw()
    await stream.send_all(encode_frame(b'{"channel":"pool"}') + encode_frame(b'{"type":"ping"}'))
    await stream.send_eof()  # type: ignore[attr-defined]
    assert await read_to_end(stream) == encode_frame(b'{"type":"pong"}')


@pytest.mark.parametrize(
    ("text", "hello"),
    [
        (b'{"channel":"notebook_sync","notebook_id":"a"}', handshake.NotebookSync("a")),
        (b'{"channel":"create_notebook","runtime":"deno"}', handshake.CreateNotebook("deno")),
        (b'{"channel":"open_notebook","path":"/a"}', handshake.OpenNotebook("/a")),
    ],
)
def test_check_03_optional_keys_may_be_missing_and_are_left_out(text: bytes, hello: Any) -> None:
    assert convert.load_handshake(text) == hello
    assert convert.dump(hello) == text
    with_nulls = orjson.dumps({**orjson.loads(text), "working_dir": None, "unknown": 1})
    assert convert.load_handshake(with_nulls) == hello


async def test_check_04_seven_cells_arrive_in_order_with_their_outputs(
    daemon: Loopback, tmp_path: Path
) -> None:
    path = tmp_path / "seven.ipynb"
    write_notebook(path, 7)
    first = await stock(daemon, channel="open_notebook", path=str(path))
    assert first.reply["cell_count"] == 0
    await first.wait(lambda: len(first.cell_ids()) == 7 and first.outputs("cell6") != [])
    assert first.cell_ids() == [f"cell{number}" for number in range(7)]
    for cell_id in first.cell_ids():
        [output] = first.outputs(cell_id)
        assert len(output) == 64
        assert set(output) <= set("0123456789abcdef")
    room = daemon.rooms.find(str(path))
    assert room is not None
    await room.wait_loaded()  # which takes a little longer than the last cell
    second = await stock(daemon, channel="open_notebook", path=str(path))
    assert second.reply["notebook_id"] == first.reply["notebook_id"] == str(path)
    assert second.reply["cell_count"] == 7
    await second.wait(lambda: second.cell_ids() == first.cell_ids())
    assert [second.outputs(c) for c in second.cell_ids()] == [
        first.outputs(c) for c in first.cell_ids()
    ]


async def test_check_05_a_missing_file_is_a_notebook_of_one_cell_that_is_not_written(
    daemon: Loopback, tmp_path: Path
) -> None:
    client = await stock(daemon, channel="open_notebook", path=str(tmp_path / "foo"))
    path = tmp_path / "foo.ipynb"
    assert client.reply["notebook_id"] == str(path)
    assert client.reply["cell_count"] == 1
    [cell] = client.cell_ids()
    assert client.text(cell, "cell_type") == "code"
    assert not path.exists()
    saved = await client.request("save_notebook", format_cells=False)
    assert saved == {"result": "notebook_saved", "path": str(path)}
    assert path.exists()


@pytest.mark.real
async def test_check_06_an_untitled_notebook_comes_back_after_a_restart_of_the_daemon(
    bare_daemon: Callable[..., DaemonHome],
) -> None:
    home = bare_daemon()
    with trio.fail_after(60):
        async with stock_client(home.socket, channel="create_notebook", runtime="python") as client:
            notebook_id = client.reply["notebook_id"]
            client.add_cell("kept", "x = 'h\u00e9'", "9080")
            await client.confirm()
            cells = client.cell_ids()
        await trio.to_thread.run_sync(home.restart)
        async with stock_client(
            home.socket, channel="create_notebook", runtime="python", notebook_id=notebook_id
        ) as client:
            assert client.reply["notebook_id"] == notebook_id
            assert client.cell_ids() == cells
            assert client.source("kept") == "x = 'h\u00e9'"


async def test_check_07_edits_reach_the_other_peer_and_no_other_notebook(
    daemon: Loopback, tmp_path: Path
) -> None:
    pairs: dict[str, list[StockClient]] = {}

    async def open_twice(name: str) -> None:
        path = tmp_path / f"{name}.ipynb"
        write_notebook(path, 3)
        pairs[name] = [
            await stock(daemon, channel="open_notebook", path=str(path)) for _ in range(2)
        ]

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(open_twice, name)
    for name, (one, other) in pairs.items():
        await one.wait(lambda one=one: len(one.cell_ids()) == 3)  # type: ignore[misc]
        one.add_cell(f"from {name}", name, "9080")
        await one.confirm()
        await other.wait(lambda other=other, name=name: f"from {name}" in other.cell_ids())  # type: ignore[misc]
        other.append(f"from {name}", "!")
        await other.confirm()
        await one.wait(lambda one=one, name=name: one.source(f"from {name}") == f"{name}!")  # type: ignore[misc]
    for name, (one, other) in pairs.items():
        wanted = ["cell0", "cell1", "cell2", f"from {name}"]
        assert one.cell_ids() == other.cell_ids() == wanted


@asynccontextmanager
async def with_a_kernel(daemon_home: DaemonHome, path: Path) -> AsyncIterator[StockClient]:
    hello = {"channel": "open_notebook", "path": str(path)}
    with trio.fail_after(120):
        async with stock_client(daemon_home.socket, **hello) as client:
            await client.request(
                "launch_kernel", 60, kernel_type="python", env_source="auto", notebook_path=None
            )
            yield client
            await client.request("shutdown_kernel")


@pytest.mark.real
async def test_check_08_what_was_just_written_runs_and_outputs_precede_their_news(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    async with with_a_kernel(daemon_home, tmp_path / "n.ipynb") as client:
        [cell] = client.cell_ids()
        for number in range(10):
            client.append(cell, f"\nprint({number})")
            await client.send_sync()
            client.order.clear()
            queued = await client.request("execute_cell", cell_id=cell)
            assert queued["result"] == "cell_queued"
            await client.hear("execution_done", cell_id=cell)
            assert "sync" in client.order[: client.order.index("execution_done")]
            [output] = client.outputs(cell)
            manifest = json.loads(await read_blob(daemon_home.socket, output))
            printed = "".join(f"{line}\n" for line in range(number + 1))
            assert manifest["text"]["inline"] == printed
            assert client.text(cell, "execution_count") == str(number + 1)


@pytest.mark.real
async def test_check_08_holds_for_an_edit_that_was_held_back(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    async with with_a_kernel(daemon_home, tmp_path / "n.ipynb") as client:
        [cell] = client.cell_ids()
        client.append(cell, "print('late')")
        # What a client sends whose filter takes the edit for one that the daemon has.
        [head] = client.doc.get_heads()
        await client.send(SYNC, b"\x42\x01" + head + b"\0\0\0")
        await client.request("execute_cell", cell_id=cell)
        await client.hear("execution_done", cell_id=cell)
        [output] = client.outputs(cell)
        manifest = json.loads(await read_blob(daemon_home.socket, output))
        assert manifest["text"]["inline"] == "late\n"


@pytest.mark.real
async def test_check_09_after_an_error_nothing_else_starts(
    daemon_home: DaemonHome, tmp_path: Path
) -> None:
    async with with_a_kernel(daemon_home, tmp_path / "n.ipynb") as client:
        client.delete_cell(*client.cell_ids())
        for number, source in enumerate(["x = 1", "1 / 0", "print('never')"]):
            client.add_cell(f"c{number}", source, f"9{number}80")
        await client.confirm()
        assert (await client.request("run_all_cells"))["count"] == 3
        await client.hear("queue_changed", executing=None, queued=[])
        state = await client.request("get_queue_state")
        assert state == {"result": "queue_state", "executing": None, "queued": []}
        assert (await client.request("get_kernel_info"))["status"] == "idle"
        events_of = {
            name: [b["cell_id"] for b in client.broadcasts if b["event"] == name]
            for name in ("execution_started", "execution_done")
        }
        assert events_of["execution_started"] == ["c0", "c1"]
        assert events_of["execution_done"] == ["c0", "c1", "c2"]  # each once, the last not run
        assert client.outputs("c2") == []
        assert client.text("c2", "execution_count") == "null"


def test_check_10_frames_split_at_every_byte_read_the_same_on_both_sides() -> None:
    def talk() -> tuple[bytes, bytes]:
        client, server = Connection(CLIENT), Connection(DAEMON)
        asked = client.open(handshake.NotebookSync("room"))
        server.receive_data(asked)
        server.next_event()
        told = server.send(handshake.ProtocolCapabilities(protocol_version=2))
        client.receive_data(told)
        client.next_event()
        for number in range(4):
            asked += client.send(events.Request(requests.ExecuteCell(f"c{number}"), number))
            asked += client.send(events.PresenceMessage(encode(Update("", Cursor("c", 0, 0)))))
            asked += client.send(events.SyncMessage(bytes(number)))
            told += server.send(broadcasts.KernelStatus(status="busy", cell_id=None))
            told += server.send(events.Response(responses.CellQueued(f"c{number}"), number))
            told += server.send(events.SyncMessage(bytes(number)))
        return asked, told

    def read(connection: Connection, pieces: list[bytes]) -> list[Any]:
        found = []
        for piece in pieces:
            connection.receive_data(piece)
            while (event := connection.next_event()) is not NEED_DATA:
                found.append(event)
        return found

    def fresh(side: Any) -> Connection:
        connection = Connection(side)
        if side is CLIENT:
            connection.open(handshake.NotebookSync("room"))
        return connection

    for side, data in zip((DAEMON, CLIENT), talk(), strict=True):
        whole = read(fresh(side), [data])
        assert len(whole) == 13
        for at in range(1, len(data)):
            assert read(fresh(side), [data[:at], data[at:]]) == whole
        single = [data[at : at + 1] for at in range(len(data))]
        assert read(fresh(side), single) == whole


async def test_w2_edits_and_broadcasts_flow_while_a_launch_takes_its_time(
    daemon: Loopback,
) -> None:
    client = await stock(daemon, channel="notebook_sync", notebook_id="room")
    other = await daemon.join("room")
    daemon.kernels.hold = trio.Event()
    launch = orjson.dumps(
        {"action": "launch_kernel", "kernel_type": "python", "env_source": "auto"}
    )
    await client.send(1, launch)
    await client.hear("kernel_status", status="starting")
    client.add_cell("mine", "1", "80")
    await client.confirm()
    while "mine" not in other.replica.document:
        await other.sync()
    other.replica.document.insert_cell("theirs", "code", "2")
    await other.send_edits()
    await client.wait(lambda: "theirs" in client.cell_ids())
    daemon.kernels.hold.set()
    await client.hear("kernel_status", status="idle")


async def test_w3_a_late_answer_is_known_by_its_id(daemon: Loopback) -> None:
    peer = await daemon.join("room")
    daemon.kernels.hold = trio.Event()
    await peer.send(events.Request(requests.LaunchKernel("python", "auto"), "late"))
    answer = await peer.ask(requests.GetQueueState())
    assert isinstance(answer, responses.QueueState)
    daemon.kernels.hold.set()
    late = await peer.hear(lambda e: isinstance(e, events.Response) and e.id == "late")
    assert isinstance(late.response, responses.KernelLaunched)


async def test_w7_every_cell_has_one_end_with_an_outcome(daemon: Loopback) -> None:
    peer = await daemon.join("room")
    for cell_id, source in {"good": "print 1", "bad": "raise no", "after": "print 2"}.items():
        peer.replica.document.insert_cell(cell_id, "code", source)
    await peer.sync()
    await peer.ask(requests.LaunchKernel("python", "auto"))
    await peer.ask(requests.RunAllCells(heads=peer.replica.document.heads))
    await peer.hear(is_idle)
    await peer.ask(requests.GetQueueState())
    ends = [
        (event.broadcast.cell_id, event.broadcast.outcome)
        for event in peer.heard
        if isinstance(event, events.Broadcast)
        and isinstance(event.broadcast, broadcasts.ExecutionDone)
    ]
    assert ends == [("good", "ok"), ("bad", "error"), ("after", "aborted")]


def is_idle(event: Any) -> bool:
    """The kernel is idle after having been busy."""
    return (
        isinstance(event, events.Broadcast)
        and isinstance(event.broadcast, broadcasts.KernelStatus)
        and event.broadcast.status == "idle"
        and event.broadcast.cell_id is not None
    )


async def test_w11_joining_a_file_by_its_path_joins_the_notebook_in_it(
    daemon: Loopback, tmp_path: Path
) -> None:
    path = tmp_path / "real.ipynb"
    write_notebook(path, 3)
    client = await stock(daemon, channel="notebook_sync", notebook_id=str(path))
    await client.wait(lambda: len(client.cell_ids()) == 3)
    await client.request("save_notebook", format_cells=False)
    assert len(json.loads(path.read_text())["cells"]) == 3
