"""When a room's history begins anew, and what peers of every kind are told. Time is the test's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import trio
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.document.history import HistoryBounds
from runtimed.protocol import broadcasts, events, handshake, requests, responses
from runtimed.rooms.room import Room
from wire_peer import WirePeer

SHORT = HistoryBounds(fewest=20, hurry=2, far=5)


async def pass_time(clock: trio.testing.MockClock, seconds: float) -> None:
    """Let time pass in small steps, as polling tasks see it."""
    for _ in range(round(seconds / 0.25)):
        await trio.testing.wait_all_tasks_blocked(0.002)
        clock.jump(0.25)
    await trio.testing.wait_all_tasks_blocked(0.002)


async def join(daemon: Loopback, *, follows: bool) -> WirePeer:
    peer = daemon.connect()
    await peer.open(handshake.NotebookSync("room", protocol="v2", follows_epochs=follows or None))
    await peer.sync()
    return peer


def room_of(daemon: Loopback) -> Room:
    room = daemon.rooms.find("room")
    assert room is not None
    return room


async def edit(peer: WirePeer, times: int, cell_id: str = "c") -> None:
    document = peer.replica.document
    if cell_id not in document:
        document.insert_cell(cell_id, "code", "")
    for number in range(times):
        document.set_source(cell_id, f"x = {number}")
        await peer.send_edits()
    await peer.sync()


def is_epoch(event: Any) -> bool:
    return isinstance(event, events.Broadcast) and isinstance(event.broadcast, broadcasts.Epoch)


async def follow(peer: WirePeer) -> broadcasts.Epoch:
    """Do what a peer does that can follow."""
    found = next((event for event in peer.heard if is_epoch(event)), None)
    epoch: broadcasts.Epoch = (found or await peer.hear(is_epoch)).broadcast
    peer.heard = [event for event in peer.heard if not is_epoch(event)]
    peer.replica.follow(epoch.epoch, epoch.heads)
    await peer.send(events.Request(requests.FollowEpoch(epoch.epoch), None))
    await peer.send_edits()
    while (moved := peer.replica.take_moved()) is None:
        peer.heard.append(await peer.next_event())
        await peer.send_edits()
    await peer.send(events.Request(requests.EditsMoved(moved.epoch, moved.heads), None))
    await trio.testing.wait_all_tasks_blocked()
    return epoch


async def test_a_long_history_begins_anew_in_a_quiet_moment(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        await edit(peer, 25)
        room = room_of(daemon)
        await pass_time(mock_clock, 0.5)
        assert room.epochs.number == 0  # not quiet for long enough
        await pass_time(mock_clock, 1.0)
        assert (room.epochs.number, room.document.changes) == (1, 1)
        await follow(peer)
        assert peer.replica.document.source("c") == "x = 24"
        await edit(peer, 30)  # and again, in the new document
        await pass_time(mock_clock, 2.0)
        assert room.epochs.number == 2
        await follow(peer)
        assert room.document.source("c") == peer.replica.document.source("c") == "x = 29"


async def test_a_short_history_goes_on(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        await edit(peer, 10)
        await pass_time(mock_clock, 5)
        assert room_of(daemon).epochs.number == 0


async def test_a_history_in_proportion_to_its_content_goes_on(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        peer.replica.document.insert_cell("much", "code", "x" * 16 * 60)
        await edit(peer, 50)
        await pass_time(mock_clock, 5)
        assert room_of(daemon).epochs.number == 0
        await edit(peer, 30)
        await pass_time(mock_clock, 5)
        assert room_of(daemon).epochs.number == 1


async def test_a_cell_that_runs_puts_it_off_until_it_is_urgent(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        await edit(peer, 25)
        peer.replica.document.insert_cell("run", "code", "wait")
        await peer.sync()
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await peer.send(events.Request(requests.ExecuteCell("run"), None))
        await pass_time(mock_clock, 10)
        room = room_of(daemon)
        assert room.epochs.number == 0
        for number in range(20):
            peer.replica.document.set_source("c", f"y = {number}")
            await peer.send_edits()
        await pass_time(mock_clock, 0.5)
        assert room.epochs.number == 1
        daemon.kernels.launched[0].print_more("on and on")
        daemon.kernels.launched[0].finish()
        await pass_time(mock_clock, 0.5)
        await follow(peer)
        assert any(
            isinstance(event, events.Broadcast)
            and isinstance(event.broadcast, broadcasts.ExecutionDone)
            for event in peer.heard
        )
        assert len(peer.replica.document.outputs("run")) == 1


async def test_what_a_peer_sends_about_the_old_document_changes_nothing(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        await edit(peer, 25)
        await pass_time(mock_clock, 2)
        room = room_of(daemon)
        assert room.epochs.number == 1
        peer.replica.document.append_source("c", " late")
        await peer.send_edits()
        await trio.testing.wait_all_tasks_blocked()
        assert room.document.source("c") == "x = 24"
        await follow(peer)
        await peer.sync()
        assert room.document.source("c") == "x = 24 late"


async def test_a_peer_that_never_follows_holds_up_nobody_but_itself(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        lazy, good = await join(daemon, follows=True), await join(daemon, follows=True)
        await edit(good, 25)
        await pass_time(mock_clock, 2)
        await follow(good)
        await edit(good, 50)
        await pass_time(mock_clock, 5)
        room = room_of(daemon)
        assert room.epochs.number == 1
        await edit(good, 60)
        await pass_time(mock_clock, 5)
        assert room.epochs.number == 2  # the lazy one was sent away
        assert "Connect again" in await lazy.last_words()
        assert len(room.peers) == 1


async def test_a_peer_that_can_not_follow_is_sent_away_when_it_can_not_be_helped(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        stock, good = await join(daemon, follows=False), await join(daemon, follows=True)
        await edit(good, 90)
        await pass_time(mock_clock, 5)
        room = room_of(daemon)
        assert (room.epochs.number, len(room.peers)) == (0, 2)
        await edit(good, 30)
        await pass_time(mock_clock, 5)
        assert (room.epochs.number, len(room.peers)) == (1, 1)
        assert "Connect again" in await stock.last_words()
        assert not any(is_epoch(event) for event in stock.heard)
        again = await join(daemon, follows=False)  # from an empty document, as such peers do
        assert again.replica.document.source("c") == "x = 29"
        assert len(again.replica.document.cells()) == 1


async def test_peers_that_leave_are_in_nobodys_way(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        stock = await join(daemon, follows=False)
        await edit(stock, 30)
        await pass_time(mock_clock, 5)
        assert room_of(daemon).epochs.number == 0
        await stock.stream.aclose()
        await pass_time(mock_clock, 5)
        assert (room_of(daemon).epochs.number, room_of(daemon).document.changes) == (1, 1)


async def test_no_epoch_begins_while_the_file_is_at_work(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        room = room_of(daemon)
        async with room.file._lock:
            await edit(peer, 50)
            await pass_time(mock_clock, 5)
            assert room.epochs.number == 0
        await pass_time(mock_clock, 1)
        assert room.epochs.number == 1


async def test_requests_about_other_epochs_are_answered_and_change_nothing(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await join(daemon, follows=True)
        await edit(peer, 5)
        for epoch in (0, 1, 7, 2**40):
            assert await peer.ask(requests.FollowEpoch(epoch)) == responses.Ok()
            moved = requests.EditsMoved(epoch, ("ab" * 32, "nonsense", ""))
            assert await peer.ask(moved) == responses.Ok()
        await edit(peer, 5)
        assert room_of(daemon).document.source("c") == "x = 4"


async def test_a_file_stays_known_across_an_epoch_and_a_restart(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "n.ipynb"
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path), autosave=False, follows_epochs=True))
        await peer.sync()
        await edit(peer, 25)
        await peer.ask(requests.SaveNotebook(False))
        room = daemon.rooms.find(str(path))
        assert room is not None
        assert not daemon.listed()[str(path)].unsaved
        await pass_time(mock_clock, 2)
        assert room.epochs.number == 1
        assert not daemon.listed()[str(path)].unsaved
        await follow(peer)
        peer.replica.document.append_source("c", " # not in the file")
        await peer.sync()
        assert daemon.listed()[str(path)].unsaved
        await pass_time(mock_clock, 1)
    content = orjson.loads(path.read_bytes())
    [cell] = [cell for cell in content["cells"] if cell["id"] == "c"]
    cell["source"] = "from outside\n" + "".join(cell["source"])
    path.write_bytes(orjson.dumps(content))
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join(str(path))
        assert peer.replica.document.source("c") == "from outside\nx = 24 # not in the file"
        assert not list((tmp_path / "documents").glob("*.unsaved*"))
