"""A notebook's file beside other writers: saved when it rests, watched, merged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from shared_files import (
    SAVED,
    SEEN,
    cell,
    edit,
    in_document,
    notebook,
    open_file,
    pass_time,
    room_of,
    save,
    set_source,
    settle,
    sources,
    told,
)
from trio.testing import MockClock

from loopback import open_loopback
from runtimed.protocol import requests, responses


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(cell("a", "x = 1\n"), cell("b", "y = 1\n")))
    return path


@pytest.fixture(autouse=True)
def running_clock(mock_clock: MockClock) -> None:
    """Time passes, since peers are told some things after a moment; the tests add to it. Slowly,
    for on a busy machine it would pass before its time."""
    mock_clock.rate = 0.1


# Edits of others


@pytest.mark.parametrize("in_place", [True, False])
async def test_an_edit_of_the_file_is_merged_with_what_peers_have_not_saved(
    path: Path, tmp_path: Path, mock_clock: MockClock, in_place: bool
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer, other = await open_file(daemon, path), await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        peer.replica.document.append_source("a", "peer = 1\n")
        await peer.sync()
        other.replica.document.insert_cell("new", "code", "other")
        await other.sync()

        def change(content: Any) -> None:
            set_source(content, 0, "x = 2\n")
            content["cells"].insert(1, cell("c", "editor", cell_type="markdown"))
            content["cells"][2]["metadata"] = {"tags": ["t"]}
            content["metadata"]["kernelspec"] = {"name": "k", "display_name": "K"}

        edit(path, change, in_place=in_place)
        await pass_time(mock_clock, daemon, SEEN)
        for one in (peer, other):
            await one.sync()
            document = one.replica.document
            assert document.cell_ids() == ["a", "c", "b", "new"]
            assert document.source("a") == "x = 2\npeer = 1\n"
            assert document.cell_type("c") == "markdown"
            assert document.cell_metadata("b") == {"tags": ["t"]}
            snapshot = document.metadata_snapshot()
            assert snapshot is not None
            assert snapshot["kernelspec"]["name"] == "k"
            [news] = told(one)
            assert [c.id for c in news.cells] == ["a", "c", "b", "new"]
        await pass_time(mock_clock, daemon, SAVED)
        assert sources(path) == ["x = 2\npeer = 1\n", "editor", "y = 1\n", "other"]


async def test_our_own_write_is_no_news(path: Path, tmp_path: Path, mock_clock: MockClock) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.append_source("a", "more\n")
        await peer.sync()
        await save(peer)
        heads = room_of(daemon, path).document.heads
        await pass_time(mock_clock, daemon, 5)
        await peer.sync()
        assert not told(peer)
        assert room_of(daemon, path).document.heads == heads


async def test_a_program_that_writes_what_it_read_before_our_save_undoes_nothing(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        content = orjson.loads(path.read_bytes())
        peer.replica.document.append_source("a", "peer\n")
        peer.replica.document.insert_cell("new", "code", "new")
        await peer.sync()
        await save(peer)
        set_source(content, 1, "y = 2\n")
        path.write_bytes(orjson.dumps(content))
        await pass_time(mock_clock, daemon, SEEN + SAVED)
        assert sources(path) == ["x = 1\npeer\n", "y = 2\n", "new"]


async def test_an_older_version_brought_back_is_what_everybody_has(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        await save(peer)
        path.write_bytes(before)
        await pass_time(mock_clock, daemon, SEEN + SAVED)
        assert in_document(daemon, path) == ["x = 1\n", "y = 1\n"]
        assert path.read_bytes() == before


async def test_a_save_merges_first_what_was_written_since_the_last_look(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        edit(path, lambda content: set_source(content, 1, "editor\n"))
        answer = await save(peer)
        assert isinstance(answer, responses.NotebookSaved)
        assert sources(path) == ["x = 1\npeer\n", "editor\n"]


async def test_a_deleted_file_is_written_again_with_the_next_edit(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        path.unlink()
        await pass_time(mock_clock, daemon, 5)
        assert not path.exists()
        assert in_document(daemon, path) == ["x = 1\n", "y = 1\n"]
        peer.replica.document.append_source("a", "more\n")
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
        assert sources(path) == ["x = 1\nmore\n", "y = 1\n"]


async def test_a_file_that_is_deleted_and_comes_back_is_merged(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        content = orjson.loads(path.read_bytes())
        path.unlink()
        await pass_time(mock_clock, daemon, 1)
        set_source(content, 0, "back\n")
        path.write_bytes(orjson.dumps(content))
        await pass_time(mock_clock, daemon, SEEN)
        assert in_document(daemon, path) == ["back\n", "y = 1\n"]


async def test_garbage_in_the_file_is_ignored_and_never_overwritten_until_it_is_repaired(
    path: Path, tmp_path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    good = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        for garbage in (good[:50], b""):
            path.write_bytes(garbage)
            await pass_time(mock_clock, daemon, 1)
            peer.replica.document.append_source("a", "peer\n")
            await peer.sync()
            await pass_time(mock_clock, daemon, 40)
            assert path.read_bytes() == garbage
            assert daemon.listed()[str(path)].unsaved
            assert "would overwrite it" in (await save(peer)).error
        assert len([r for r in caplog.records if "ignored" in r.message]) == 2
        path.write_bytes(good.replace(b"y = 1", b"y = 2"))
        await pass_time(mock_clock, daemon, SEEN + SAVED)
        assert sources(path) == ["x = 1\npeer\npeer\n", "y = 2\n"]
        assert not daemon.listed()[str(path)].unsaved


async def test_a_running_cell_keeps_its_outputs_and_is_not_deleted(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await peer.ask(requests.LaunchKernel("python", "auto"))
        peer.replica.document.set_source("a", "wait")
        await peer.sync()
        await save(peer)
        await peer.ask(requests.ExecuteCell("a"))
        await settle(daemon)
        daemon.kernels.launched[0].print_more("running")
        await pass_time(mock_clock, daemon, 0.25)
        edit(path, lambda content: content["cells"].pop(0))
        await pass_time(mock_clock, daemon, SEEN)
        document = room_of(daemon, path).document
        assert document.cell_ids() == ["a", "b"]
        assert len(document.outputs("a")) == 1
        daemon.kernels.launched[0].finish()


async def test_rewriting_the_same_outputs_is_no_change_of_the_document(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await peer.ask(requests.LaunchKernel("python", "auto"))
        peer.replica.document.set_source("a", "print hello")
        await peer.sync()
        await peer.ask(requests.ExecuteCell("a"))
        await peer.hear_done("a")
        await save(peer)
        heads = room_of(daemon, path).document.heads
        edit(path, lambda content: content["cells"][0]["outputs"][0].update(text="hello"))
        await pass_time(mock_clock, daemon, SEEN)
        assert room_of(daemon, path).document.heads == heads
        edit(path, lambda content: content["cells"][0].update(outputs=[]))
        await pass_time(mock_clock, daemon, SEEN)
        assert room_of(daemon, path).document.outputs("a") == []


async def test_cells_without_ids_keep_their_identity_when_one_is_inserted_above(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    path = tmp_path / "old.ipynb"
    path.write_bytes(notebook(*(cell(None, f"cell {i}") for i in range(3)), minor=4))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        before = peer.replica.document.cell_ids()
        peer.replica.document.append_source(before[2], " peer")
        await peer.sync()

        def change(content: Any) -> None:
            content["cells"].insert(0, cell(None, "new"))
            set_source(content, 2, "cell 1 edited")

        edit(path, change)
        await pass_time(mock_clock, daemon, SEEN)
        document = room_of(daemon, path).document
        assert document.cell_ids()[1:] == before
        assert in_document(daemon, path) == ["new", "cell 0", "cell 1 edited", "cell 2 peer"]


async def test_the_directory_may_come_later(tmp_path: Path, mock_clock: MockClock) -> None:
    path = tmp_path / "later" / "n.ipynb"
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        path.parent.mkdir()
        path.write_bytes(notebook(cell("a", "came")))
        await pass_time(mock_clock, daemon, SEEN)
        assert in_document(daemon, path) == ["came"]


# Saving


async def test_a_notebook_that_nobody_changed_is_not_written(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    path = tmp_path / "old.ipynb"
    path.write_bytes(notebook(cell(None, "x"), minor=4))
    before = path.read_bytes()
    async with open_loopback(tmp_path, keep_alive=60) as daemon:
        await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 40)
        edit(path, lambda content: set_source(content, 0, "y"))
        before = path.read_bytes()
        await pass_time(mock_clock, daemon, 40)
        assert not daemon.listed()[str(path)].unsaved
    assert path.read_bytes() == before


async def test_changes_are_written_when_they_have_rested_and_at_latest_after_half_a_minute(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_source("a", "rested")
        await peer.sync()
        await pass_time(mock_clock, daemon, 1.5)
        assert "rested" not in sources(path)
        await pass_time(mock_clock, daemon, 1)
        assert "rested" in sources(path)
        since = trio.current_time()  # which goes on by itself, too
        while (passed := trio.current_time() - since) < 28:
            peer.replica.document.set_source("a", f"busy {passed}")
            await peer.sync()
            await pass_time(mock_clock, daemon, 1)
        assert "rested" in sources(path)
        peer.replica.document.set_source("a", "busy")
        await peer.sync()
        while trio.current_time() - since < 30.5:
            await pass_time(mock_clock, daemon, 0.25)
        assert "busy" in sources(path)


async def test_a_new_notebook_is_written_with_the_first_real_edit_only(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    path = tmp_path / "new.ipynb"
    for _ in range(2):  # a daemon that starts again knows it, too
        async with open_loopback(tmp_path) as daemon:
            peer = await open_file(daemon, path)
            await pass_time(mock_clock, daemon, 40)
            assert not daemon.listed()[str(path)].unsaved
        assert not path.exists()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_source(peer.replica.document.cell_ids()[0], "x")
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
        assert sources(path) == ["x"]


async def test_what_is_not_written_yet_is_written_when_the_daemon_or_the_room_ends(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_source("a", "daemon")
        await peer.sync()
    assert sources(path)[0] == "daemon"
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_source("a", "room")
        await peer.sync()
        await daemon.rooms.shutdown_notebook(str(path))
        assert sources(path)[0] == "room"


async def test_without_autosave_edits_stay_in_the_document_and_survive_the_daemon(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path, autosave=False) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        peer.replica.document.set_source("a", "unsaved")
        await peer.sync()
        await pass_time(mock_clock, daemon, 40)
        assert daemon.listed()[str(path)].unsaved
    assert path.read_bytes() == before
    async with open_loopback(tmp_path, autosave=False) as daemon:
        await open_file(daemon, path)
        assert in_document(daemon, path)[0] == "unsaved"
        assert daemon.listed()[str(path)].unsaved


async def test_what_file_and_document_both_changed_between_two_daemons_is_merged_once(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path, autosave=False) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.append_source("a", "peer\n")
        peer.replica.document.insert_cell("new", "code", "new")
        await peer.sync()

    def change(content: Any) -> None:
        content["cells"][0]["source"] += "editor\n"
        content["cells"].pop(1)

    edit(path, change)
    for _ in range(2):
        async with open_loopback(tmp_path, autosave=False) as daemon:
            await open_file(daemon, path)
            assert in_document(daemon, path) == ["x = 1\npeer\neditor\n", "new"]
            await pass_time(mock_clock, daemon, 1)
    assert not list((tmp_path / "documents").glob("*unsaved*"))


async def test_a_file_deleted_between_two_daemons_is_not_brought_back_unless_it_was_unsaved(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    data = path.read_bytes()
    async with open_loopback(tmp_path, autosave=False) as daemon:
        await open_file(daemon, path)
    path.unlink()
    async with open_loopback(tmp_path, autosave=False) as daemon:
        await open_file(daemon, path)
        assert in_document(daemon, path) == [""]
        await daemon.rooms.shutdown_notebook(str(path))
        path.write_bytes(data)
        peer = await open_file(daemon, path)
        peer.replica.document.set_source("a", "unsaved")
        await peer.sync()
    path.unlink()
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        assert in_document(daemon, path)[0] == "unsaved"


async def test_mode_links_and_what_is_not_ours_survive_an_autosave(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    target = tmp_path / "target.ipynb"
    target.write_bytes(notebook(cell("a", "x", theirs=1), metadata={"other": {"n": 1}}, extra=[1]))
    target.chmod(0o640)
    link = tmp_path / "link.ipynb"
    link.symlink_to(target)
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, link)
        peer.replica.document.set_source("a", "y")
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    content = orjson.loads(target.read_bytes())
    assert content["cells"][0]["source"] == ["y"]
    assert (content["cells"][0]["theirs"], content["extra"]) == (1, [1])
    assert content["metadata"]["other"] == {"n": 1}
    assert not list(tmp_path.glob(".*.tmp"))


async def test_a_copy_saved_elsewhere_has_the_extras_and_the_room_stays_where_it_is(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    path.write_bytes(notebook(cell("a", "x"), extra=[1]))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        copy = tmp_path / "copy.ipynb"
        assert (await save(peer, copy)).path == str(copy)
        assert orjson.loads(copy.read_bytes())["extra"] == [1]
        peer.replica.document.set_source("a", "y")
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
        assert (sources(path), sources(copy)) == (["y"], ["x"])


async def test_a_disk_that_refuses_is_tried_again_and_said_once(
    path: Path, tmp_path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = path.read_bytes()
    full = True
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if full and "n.ipynb" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_source("a", "y")
        await peer.sync()
        await pass_time(mock_clock, daemon, 20)
        assert daemon.listed()[str(path)].unsaved
        assert "No space left on device" in (await save(peer)).error
        assert path.read_bytes() == before
        assert len([r for r in caplog.records if "not autosaved" in r.message]) == 1
        full = False
        await pass_time(mock_clock, daemon, 6)
        assert sources(path)[0] == "y"
        assert not daemon.listed()[str(path)].unsaved
    assert not list(tmp_path.glob(".*.tmp"))


async def test_an_autosave_that_would_lose_an_output_refuses_and_says_so_once(
    path: Path, tmp_path: Path, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        for number in range(3):
            peer.replica.document.set_outputs("a", [f"{number}" * 64])
            peer.replica.document.set_outputs("a", ["f" * 64])
            await peer.sync()
            await pass_time(mock_clock, daemon, SAVED)
        assert daemon.listed()[str(path)].unsaved
        assert path.read_bytes() == before
        assert len([r for r in caplog.records if "not autosaved" in r.message]) == 1
        peer.replica.document.clear_outputs("a")
        peer.replica.document.append_source("a", "z")
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
        assert sources(path)[0] == "x = 1\nz"


async def test_a_file_is_left_alone_while_nobody_is_there_who_wants_it_written(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        peer.replica.document.set_source("a", "mine")
        await peer.sync()
        await pass_time(mock_clock, daemon, 40)
        assert path.read_bytes() == before
        await open_file(daemon, path)
        await pass_time(mock_clock, daemon, SAVED)
        assert sources(path)[0] == "mine"
