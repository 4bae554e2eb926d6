"""Saved documents with long histories: what happens to them at opening."""

from __future__ import annotations

from pathlib import Path

from loopback import Loopback, open_loopback
from runtimed.document.history import HistoryBounds
from runtimed.protocol import handshake, requests
from runtimed.rooms.room import Room
from wire_peer import WirePeer

SHORT = HistoryBounds(fewest=80)


async def edit(peer: WirePeer, times: int) -> None:
    document = peer.replica.document
    for number in range(times):
        document.set_source("c", f"x = {number}")
        await peer.send_edits()
    await peer.sync()


def room_of(daemon: Loopback, notebook_id: str) -> Room:
    room = daemon.rooms.find(notebook_id)
    assert room is not None
    return room


async def first_session(folder: Path, edits: int) -> bytes:
    """A notebook with some history; its document's file."""
    async with open_loopback(folder) as daemon:
        peer = await daemon.join("room")
        peer.replica.document.insert_cell("c", "code", "")
        peer.replica.document.insert_cell("d", "markdown", "other")
        peer.replica.document.set_raw_metadata("note", "kept")
        await edit(peer, edits)
    [file] = (folder / "documents").glob("*.automerge")
    return file.read_bytes()


async def test_a_document_with_a_long_history_is_opened_without_it(tmp_path: Path) -> None:
    before = await first_session(tmp_path, 200)
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await daemon.join("room")
        document = room_of(daemon, "room").document
        assert document.changes == 1
        assert peer.replica.document.cells() == document.cells()
        assert peer.replica.document.source("c") == "x = 199"
        assert peer.replica.document.raw_metadata("note") == "kept"
        await edit(peer, 2)
    [file] = (tmp_path / "documents").glob("*.automerge")
    assert file.stat().st_size < len(before) / 10
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        peer = await daemon.join("room")
        assert peer.replica.document.source("c") == "x = 1"
        assert peer.replica.document.cell_ids() == ["c", "d"]
        assert room_of(daemon, "room").document.changes == 3


async def test_a_document_with_a_short_history_keeps_it(tmp_path: Path) -> None:
    await first_session(tmp_path, 10)
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        await daemon.join("room")
        assert room_of(daemon, "room").document.changes == 14


async def test_a_long_history_of_much_content_is_kept(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        peer.replica.document.insert_cell("c", "code", "x" * 4000)
        for _ in range(50):
            peer.replica.document.append_source("c", "y")
            await peer.send_edits()
        await peer.sync()
    async with open_loopback(tmp_path, history=SHORT) as daemon:
        await daemon.join("room")
        assert room_of(daemon, "room").document.changes > 50


async def test_a_saved_file_stays_known_as_saved(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        await peer.sync()
        peer.replica.document.insert_cell("c", "code", "")
        await edit(peer, 100)
        await peer.ask(requests.SaveNotebook(False))
    for _ in range(2):
        async with open_loopback(tmp_path, history=SHORT) as daemon:
            await daemon.join(str(path))
            assert room_of(daemon, str(path)).document.changes == 1
            assert not daemon.listed()[str(path)].unsaved
