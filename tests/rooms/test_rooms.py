"""Rooms through the daemon's edges: pretended kernels, a real disk, the test's own time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.errors import NotebookUnreadable, RuntimedError
from runtimed.protocol import broadcasts, events, handshake, pool, requests, responses
from runtimed.rooms.room import Room
from wire_peer import WirePeer


async def pass_time(clock: trio.testing.MockClock, seconds: float) -> None:
    """Let time pass; before and after, everybody does what there is to do."""
    await trio.testing.wait_all_tasks_blocked()
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def leave(peer: WirePeer) -> None:
    await peer.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()


def room_of(daemon: Loopback, notebook_id: str) -> Room:
    room = daemon.rooms.find(notebook_id)
    assert room is not None
    return room


async def add_cell(peer: WirePeer, cell_id: str, source: str = "") -> None:
    peer.replica.document.insert_cell(cell_id, "code", source)
    await peer.sync()


def notebook(*sources: str) -> bytes:
    cells: list[dict[str, Any]] = [
        {"id": f"c{number}", "cell_type": "code", "source": source, "metadata": {},
         "outputs": [], "execution_count": None}
        for number, source in enumerate(sources)
    ]  # fmt: skip
    return orjson.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


async def open_file(daemon: Loopback, path: Path) -> tuple[WirePeer, Any]:
    """A peer in the room of a file, with all of the file in its replica; and the reply it got."""
    peer = daemon.connect()
    reply = await peer.open(handshake.OpenNotebook(str(path)))
    if not reply.error:
        await peer.ask(requests.GetHeads())
        await peer.sync()
    return peer, reply


# ---------------------------------------------------------------------- creating and ending


async def test_concurrent_joins_make_one_room(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        path = tmp_path / "n.ipynb"
        path.write_bytes(notebook("a", "b"))
        found: list[Room] = []

        async def join(what: str) -> None:
            if what == "shared":
                found.append((await daemon.rooms.join("shared"))[0])
            else:
                found.append((await daemon.rooms.open_notebook(path))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(join, "shared")
                nursery.start_soon(join, "file")
        assert len(set(found)) == 2
        assert {info.active_peers for info in daemon.rooms.list_rooms()} == {50}


async def test_every_spelling_of_a_path_is_one_room(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    path = tmp_path / "d" / "n.ipynb"
    path.write_bytes(notebook("a"))
    (tmp_path / "link.ipynb").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path / "d")
    async with open_loopback(tmp_path) as daemon:
        for spelling in (path, tmp_path / "link.ipynb", tmp_path / "folder/n.ipynb",
                         tmp_path / "d/../d/n.ipynb", tmp_path / "d/n"):  # fmt: skip
            _, reply = await open_file(daemon, spelling)
            assert reply.notebook_id == str(path)
        peer = daemon.connect()
        await peer.join(str(path))  # a plain join by the path shadows nothing either
        assert [info.active_peers for info in daemon.rooms.list_rooms()] == [6]
        for missing in ("folder/new", "folder/new.ipynb", "d/new.ipynb"):
            _, reply = await open_file(daemon, tmp_path / missing)
            assert reply.notebook_id == str(tmp_path / "d" / "new.ipynb")


async def test_a_room_without_peers_ends_after_its_keep_alive_and_its_kernel_with_it(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, keep_alive=30) as daemon:
        peer = await daemon.join("room")
        await peer.ask(requests.LaunchKernel("python", "auto"))
        [kernel] = daemon.kernels.launched
        room = room_of(daemon, "room")
        await leave(peer)
        await pass_time(mock_clock, 29)
        assert kernel.running
        assert daemon.listed()["room"].active_peers == 0
        await pass_time(mock_clock, 2)
        await room.wait_ended()
        assert not kernel.running
        assert not daemon.listed()


async def test_a_peer_that_returns_in_time_finds_everything(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, keep_alive=30) as daemon:
        peer = await daemon.join("room")
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await leave(peer)
        await pass_time(mock_clock, 29)
        again = await daemon.join("room")
        await pass_time(mock_clock, 1000)
        answer = await again.ask(requests.LaunchKernel("python", "auto"))
        assert isinstance(answer, responses.KernelAlreadyRunning)
        assert len(daemon.kernels.launched) == 1


async def test_leaving_rejoining_and_leaving_does_not_end_a_room_early(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, keep_alive=30) as daemon:
        for _ in range(5):
            await leave(await daemon.join("room"))
            await pass_time(mock_clock, 20)
        await pass_time(mock_clock, 9)
        assert "room" in daemon.listed()
        await pass_time(mock_clock, 2)
        assert "room" not in daemon.listed() or room_of(daemon, "room").ending


async def test_joining_and_leaving_at_once_leaves_the_keep_alive_to_run(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path, keep_alive=30) as daemon:
        await leave(await daemon.join("room"))
        room = room_of(daemon, "room")
        await pass_time(mock_clock, 20)
        room.leave(room.join())  # without a breath in between
        await pass_time(mock_clock, 29)
        assert not room.ending
        await pass_time(mock_clock, 2)
        await room.wait_ended()


async def test_a_keep_alive_of_zero_still_serves_those_who_are_there(tmp_path: Path) -> None:
    async with open_loopback(tmp_path, keep_alive=0) as daemon:
        for number in range(5):
            peer = await daemon.join("room")
            await add_cell(peer, f"c{number}")
            room = room_of(daemon, "room")
            assert not room.ending
            await leave(peer)
            await room.wait_ended()
        peer = await daemon.join("room")
        assert peer.replica.document.cell_ids() == [f"c{number}" for number in range(5)]


async def test_who_joins_while_a_room_ends_gets_its_successor(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "kept")
        first = room_of(daemon, "room")
        first.close()
        again = await daemon.join("room")
        assert room_of(daemon, "room") is not first
        assert again.replica.document.source("c") == "kept"


async def test_shutdown_notebook_ends_the_connections_in_it(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peers = [await daemon.join("room") for _ in range(3)]
        bystander = await daemon.join("other")
        await peers[0].ask(requests.LaunchKernel("python", "auto"))
        admin = daemon.connect()
        await admin.open(handshake.Pool())
        answer = await admin.ask_pool(pool.ShutdownNotebook("room"))
        assert answer == pool.NotebookShutdown(found=True)
        for peer in peers:
            await peer.hear(lambda event: isinstance(event, events.Closed))
        assert not daemon.kernels.launched[0].running
        assert set(daemon.listed()) == {"other"}
        assert isinstance(await bystander.ask(requests.GetQueueState()), responses.QueueState)
        answer = await admin.ask_pool(pool.ShutdownNotebook("room"))
        assert answer == pool.NotebookShutdown(found=False)


async def test_rooms_are_listed_and_others_served_while_a_kernel_launches(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        daemon.kernels.hold = trio.Event()
        peer = await daemon.join("room")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.ask, requests.LaunchKernel("python", "auto"))
            await trio.testing.wait_all_tasks_blocked()
            assert daemon.listed()["room"].kernel_status == "starting"
            other = await daemon.join("room")
            await add_cell(other, "c")
            info = await other.ask(requests.GetKernelInfo())
            assert info.status == "starting"
            assert "another" not in daemon.listed()
            await daemon.join("another")
            daemon.kernels.hold.set()


async def test_a_room_can_be_shut_down_while_its_kernel_launches(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        daemon.kernels.hold = trio.Event()
        peer = await daemon.join("room")
        await peer.send(events.Request(requests.LaunchKernel("python", "auto"), 1))
        await trio.testing.wait_all_tasks_blocked()
        assert await daemon.rooms.shutdown_notebook("room")
        assert not daemon.listed()


# ---------------------------------------------------------------------- kernels and cells


async def test_a_cell_behind_a_shutdown_is_not_for_the_kernel_that_ends(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "print 1")
        for _ in range(20):  # what runs at the same time does so in any order
            await peer.ask(requests.LaunchKernel("python", "auto"))
            both = [
                events.Request(requests.ShutdownKernel(), "down"),
                events.Request(requests.ExecuteCell("c"), "run"),
            ]
            await peer.stream.send_all(b"".join(map(peer.connection.send, both)))
            found = await peer.hear(lambda e: isinstance(e, events.Response) and e.id == "run")
            assert found.response == responses.NoKernel()
            found = await peer.hear(lambda e: isinstance(e, events.Response) and e.id == "down")
            assert found.response == responses.KernelShuttingDown()
        assert not any(kernel.executed for kernel in daemon.kernels.launched)


async def test_callers_that_launch_together_share_one_kernel(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        daemon.kernels.hold = trio.Event()
        peers = [await daemon.join("room") for _ in range(4)]
        for peer in peers:
            await peer.send(events.Request(requests.LaunchKernel("python", "auto"), 1))
        await trio.testing.wait_all_tasks_blocked()
        daemon.kernels.hold.set()
        for peer in peers:
            found = await peer.hear(lambda event: isinstance(event, events.Response))
            assert isinstance(
                found.response, (responses.KernelLaunched, responses.KernelAlreadyRunning)
            )
        assert len(daemon.kernels.launched) == 1


async def test_a_launch_that_fails_says_why_and_another_may_work(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        daemon.kernels.refuse = "no Python here"
        answer = await peer.ask(requests.LaunchKernel("python", "auto"))
        assert answer == responses.Error("no Python here")
        daemon.kernels.refuse = None
        answer = await peer.ask(requests.LaunchKernel("python", "auto"))
        assert isinstance(answer, responses.KernelLaunched)


async def test_a_dead_kernel_gives_every_waiting_cell_its_outcome_and_may_be_replaced(
    tmp_path: Path,
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        for number, source in enumerate(["wait", "print 1", "print 2"]):
            await add_cell(peer, f"c{number}", source)
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await peer.ask(requests.RunAllCells())
        daemon.kernels.launched[0].die()
        done = [await peer.hear_done(f"c{number}") for number in range(3)]
        assert {entry.outcome for entry in done} == {"kernel_died"}
        assert all("SIGKILL" in (entry.reason or "") for entry in done)
        assert await peer.ask(requests.ExecuteCell("c1")) == responses.NoKernel()
        answer = await peer.ask(requests.LaunchKernel("python", "auto"))
        assert isinstance(answer, responses.KernelLaunched)
        await peer.ask(requests.ExecuteCell("c1"))
        assert (await peer.hear_done("c1")).outcome == "ok"


async def test_an_error_aborts_what_waits_and_leaves_the_kernel_idle(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        for number, source in enumerate(["print 1", "raise it", "print 3"]):
            await add_cell(peer, f"c{number}", source)
        await peer.ask(requests.LaunchKernel("python", "auto"))
        answer = await peer.ask(requests.RunAllCells())
        assert answer.count == 3
        outcomes: dict[str, str | None] = {}
        while len(outcomes) < 3:
            event = await peer.next_event()
            if isinstance(event, events.Broadcast) and isinstance(
                event.broadcast, broadcasts.ExecutionDone
            ):
                done = event.broadcast
                assert done.cell_id not in outcomes, "one outcome each"
                outcomes[done.cell_id] = done.outcome
                if done.outcome in ("ok", "error"):  # the outputs are there before their news
                    assert peer.replica.document.outputs(done.cell_id)
        assert outcomes == {"c0": "ok", "c1": "error", "c2": "aborted"}
        assert daemon.kernels.launched[0].executed == ["print 1", "raise it"]
        state = await peer.ask(requests.GetQueueState())
        assert (state.executing, list(state.queued)) == (None, [])
        assert (await peer.ask(requests.GetKernelInfo())).status == "idle"


async def test_a_cell_runs_the_text_that_came_just_before_the_request(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "print old")
        await peer.ask(requests.LaunchKernel("python", "auto"))
        for number in range(20):
            peer.replica.document.set_source("c", f"print {number}")
            await peer.send_edits()
            await peer.ask(requests.ExecuteCell("c", heads=tuple(peer.replica.document.heads)))
            await peer.hear_done("c")
        kernel = daemon.kernels.launched[0]
        assert kernel.executed == [f"print {number}" for number in range(20)]


async def test_a_cell_that_is_deleted_while_it_runs_ends_in_order(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "gone", "wait")
        await add_cell(peer, "gone-too", "print 1")
        await add_cell(peer, "next", "print 2")
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await peer.ask(requests.RunAllCells())
        peer.replica.document.delete_cell("gone")
        peer.replica.document.delete_cell("gone-too")
        await peer.sync()
        kernel = daemon.kernels.launched[0]
        kernel.print_more("into nothing")
        kernel.finish()
        assert (await peer.hear_done("gone")).outcome == "ok"
        assert (await peer.hear_done("gone-too")).outcome == "aborted"
        assert (await peer.hear_done("next")).outcome == "ok"
        await peer.sync()
        assert peer.replica.document.cell_ids() == ["next"]


async def test_the_kernel_is_stopped_only_by_the_last_who_leaves(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        one, two = await daemon.join("room"), await daemon.join("room")
        await one.ask(requests.LaunchKernel("python", "auto"))
        assert await one.ask(requests.LeaveNotebook(True)) == responses.LeftNotebook(False)
        await leave(one)
        assert await two.ask(requests.LeaveNotebook(True)) == responses.LeftNotebook(True)
        assert not daemon.kernels.launched[0].running


async def test_a_broadcast_that_no_frame_can_hold_is_left_out_and_the_room_goes_on(
    tmp_path: Path,
) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "wait")
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await peer.ask(requests.ExecuteCell("c"))
        await trio.testing.wait_all_tasks_blocked()
        kernel = daemon.kernels.launched[0]
        shown = {"transient": {"display_id": "d"}, "metadata": {}}
        kernel.say("kernel-1-1", "display_data", {**shown, "data": {"text/plain": "old"}})
        data = {"application/json": deep}
        kernel.say("kernel-1-1", "update_display_data", {**shown, "data": data})
        kernel.finish()
        assert (await peer.hear_done("c")).outcome == "ok"
        assert not any(
            isinstance(event.broadcast, broadcasts.DisplayUpdate)
            for event in peer.heard
            if isinstance(event, events.Broadcast)
        )
        await peer.sync()
        [entry] = peer.replica.document.outputs("c")
        manifest = await daemon.blobs.load(entry)
        assert manifest is not None
        assert b"[" * 300 in manifest
        assert not room_of(daemon, "room").ending


# ---------------------------------------------------------------------- files


async def test_an_opened_file_arrives_completely_and_in_order_for_all(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(*(f"x = {number}" for number in range(120))))
    async with open_loopback(tmp_path) as daemon:
        one, reply = await open_file(daemon, path)
        assert (reply.notebook_id, reply.cell_count) == (str(path), 0)
        two, second = await open_file(daemon, path)
        assert (second.notebook_id, second.cell_count) == (str(path), 120)
        for peer in (one, two):
            assert peer.replica.document.cell_ids() == [f"c{number}" for number in range(120)]


async def test_a_missing_file_is_a_new_notebook_and_nothing_is_written(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer, reply = await open_file(daemon, tmp_path / "foo")
        assert reply.notebook_id == str(tmp_path / "foo.ipynb")
        assert reply.cell_count == 1
        [cell] = peer.replica.document.cells()
        assert (cell.cell_type, cell.source) == ("code", "")
        assert not (tmp_path / "foo.ipynb").exists()
        await peer.ask(requests.SaveNotebook(False))
        assert (tmp_path / "foo.ipynb").exists()


@pytest.mark.parametrize(
    "content",
    [b"{not json", b"[1, 2]", b'"text"', b'{"a": 1}', b'{"cells": 3}', b"\xff\xfe\x00",
     b'{"cells": [], "nbformat": 99}', b'{"cells": [7], "nbformat": 4}', b"null", b"{"],
)  # fmt: skip
async def test_a_file_that_is_no_notebook_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    async with open_loopback(tmp_path) as daemon:
        for _ in range(2):
            peer, reply = await open_file(daemon, path)
            assert str(path) in reply.error
            assert isinstance(await peer.next_event(), events.Closed)
        joined = await daemon.connect().open(handshake.NotebookSync(str(path), protocol="v2"))
        assert str(path) in joined.error
        assert not daemon.listed()
    assert path.read_bytes() == content
    assert not list((tmp_path / "documents").iterdir())


async def test_an_empty_file_is_an_empty_notebook_or_a_clear_refusal(tmp_path: Path) -> None:
    path = tmp_path / "empty.ipynb"
    path.touch()
    async with open_loopback(tmp_path) as daemon:
        _, reply = await open_file(daemon, path)
        assert reply.error is None or str(path) in reply.error
        assert bool(daemon.listed()) == (reply.error is None)
    assert path.read_bytes() == b""


async def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    directory = tmp_path / "d.ipynb"
    directory.mkdir()
    pipe = tmp_path / "p.ipynb"
    os.mkfifo(pipe)
    loop = tmp_path / "l.ipynb"
    loop.symlink_to(loop)
    async with open_loopback(tmp_path) as daemon:
        for path in (directory, pipe, loop, Path("/dev/null/x.ipynb"), Path("/dev/zero")):
            _, reply = await open_file(daemon, path)
            assert str(path) in reply.error
        assert not daemon.listed()


async def test_a_dangling_link_is_a_new_notebook_at_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link.ipynb"
    link.symlink_to(tmp_path / "target.ipynb")
    async with open_loopback(tmp_path) as daemon:
        peer, reply = await open_file(daemon, link)
        assert reply.error is None
        await peer.ask(requests.SaveNotebook(False))
    assert link.is_symlink()
    assert (tmp_path / "target.ipynb").exists()


async def test_saving_over_something_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "precious")
        text = tmp_path / "notes.ipynb"
        text.write_text("my notes")
        pipe = tmp_path / "p.ipynb"
        os.mkfifo(pipe)
        folder = tmp_path / "d.ipynb"
        folder.mkdir()
        for path in (text, pipe, folder, tmp_path / "missing" / "n.ipynb"):
            answer = await peer.ask(requests.SaveNotebook(False, str(path)))
            assert isinstance(answer, responses.Error)
            assert str(path.parent) in answer.error
        assert text.read_text() == "my notes"
        assert not list(tmp_path.glob(".*tmp"))


async def test_a_save_that_would_lose_an_output_refuses(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    async with open_loopback(tmp_path) as daemon:
        peer, _ = await open_file(daemon, path)
        [cell] = peer.replica.document.cell_ids()
        peer.replica.document.append_output(cell, "0" * 64)  # a blob that nobody has
        await peer.sync()
        answer = await peer.ask(requests.SaveNotebook(False))
        assert "nothing was saved" in answer.error
        assert not path.exists()
        peer.replica.document.clear_outputs(cell)
        await peer.sync()
        assert isinstance(await peer.ask(requests.SaveNotebook(False)), responses.NotebookSaved)


async def test_the_list_form_of_texts_loads_and_saves_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    output = {
        "data": {"text/html": ["<b>\n", "x</b>"], "text/plain": ["1\n", "2"]},
        "execution_count": 1,
        "metadata": {},
        "output_type": "execute_result",
    }
    cell = {"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {},
            "outputs": [output], "source": ["a\n", "b"]}  # fmt: skip
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_bytes(orjson.dumps(content))
    async with open_loopback(tmp_path) as daemon:
        peer, _ = await open_file(daemon, path)
        assert isinstance(await peer.ask(requests.SaveNotebook(False)), responses.NotebookSaved)
    saved = orjson.loads(path.read_bytes())
    assert saved["cells"] == content["cells"]


# ---------------------------------------------------------------------- what outlives a room


async def test_an_untitled_notebook_comes_back_with_its_cells(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        reply = await peer.open(handshake.CreateNotebook("python"))
        await peer.sync()
        await add_cell(peer, "mine", "kept")
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        again = await peer.open(handshake.CreateNotebook("python", notebook_id=reply.notebook_id))
        assert again.cell_count == 2
        await peer.sync()
        assert peer.replica.document.source("mine") == "kept"


async def test_a_file_that_was_saved_and_changed_meanwhile_is_what_is_opened(
    tmp_path: Path,
) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook("a"))
    async with open_loopback(tmp_path) as daemon:
        peer, _ = await open_file(daemon, path)
        await add_cell(peer, "saved", "b")
        await peer.ask(requests.SaveNotebook(False))
    path.write_bytes(notebook("changed"))
    async with open_loopback(tmp_path) as daemon:
        peer, _ = await open_file(daemon, path)
        assert [cell.source for cell in peer.replica.document.cells()] == ["changed"]
    assert not [file for file in (tmp_path / "documents").iterdir() if "unsaved" in file.name]


async def test_a_document_that_was_being_written_when_its_room_ended_is_written_after_all(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """All threads for files are busy, a save waits for one, and at that moment the room closes."""
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "kept")
        room = room_of(daemon, "room")
        limiter = room._disk
        tokens = [object() for _ in range(int(limiter.total_tokens))]
        for token in tokens:
            await limiter.acquire_on_behalf_of(token)
        await pass_time(mock_clock, 1)  # the save is due, and waits
        room.close()
        await trio.testing.wait_all_tasks_blocked()
        for token in tokens:
            limiter.release_on_behalf_of(token)
        await room.wait_ended()
        again = await daemon.join("room")
        assert again.replica.document.source("c") == "kept"


async def test_a_room_whose_last_save_fails_has_ended_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ArithmeticError("a fault")

    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("room")
        await add_cell(peer, "c", "kept")
        monkeypatch.setattr(room_of(daemon, "room").file, "finish", fail)
        with trio.fail_after(30):
            assert await daemon.rooms.shutdown_notebook("room")
            again = await daemon.join("room")
        assert again.replica.document.source("c") == "kept"


async def test_a_document_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        await add_cell(await daemon.join("room"), "c")
        file = room_of(daemon, "room")._saving._file.path
        assert await daemon.rooms.shutdown_notebook("room")
        from automerge import core

        document = core.Document.load(file.read_bytes())
        with document.transaction() as transaction:
            transaction.put(core.ROOT, "schema_version", core.ScalarType.Uint, 99)
        file.write_bytes(document.save())
        later = file.read_bytes()
        with pytest.raises(RuntimedError, match="schema"):
            await daemon.rooms.join("room")
        assert not daemon.listed()
        assert file.read_bytes() == later


async def test_a_refused_notebook_can_be_opened_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text("broken")
    async with open_loopback(tmp_path) as daemon:
        with pytest.raises(NotebookUnreadable):
            await daemon.rooms.open_notebook(path)
        path.write_bytes(notebook("a"))
        _, reply = await open_file(daemon, path)
        assert reply.error is None
