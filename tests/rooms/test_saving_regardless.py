"""Saving in the face of links, of content that can't be saved, and of files that come and go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import trio
from shared_files import cell, notebook, open_file, pass_time, settle, sources
from trio.testing import MockClock

from loopback import Loopback, open_loopback
from runtimed.errors import NotebookUnreadable
from runtimed.outputs.manifest import MANIFEST_MEDIA_TYPE
from runtimed.protocol import broadcasts, events, requests, responses
from runtimed.rooms.notebook_file import read_notebook
from runtimed.rooms.room import Room

SAVED = 2.25


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(cell("a", "x = 1\n"), cell("b", "y = 1\n")))
    return path


@pytest.fixture(autouse=True)
def running_clock(mock_clock: MockClock) -> None:
    mock_clock.rate = 1.0


def room_of(daemon: Loopback, path: Path) -> Room:
    room = daemon.rooms.find(str(path))
    assert room is not None
    return room


def soft_link(path: Path) -> Path:
    link = path.with_name("soft.ipynb")
    link.symlink_to(path)
    return link


def hard_link(path: Path) -> Path:
    link = path.with_name("hard.ipynb")
    link.hardlink_to(path)
    return link


def roundabout(path: Path) -> Path:
    (path.parent / "sub").mkdir()
    return path.parent / "sub" / ".." / path.name


@pytest.mark.parametrize("spelled", [soft_link, hard_link, roundabout])
async def test_the_own_path_is_recognised_in_every_spelling(
    path: Path, tmp_path: Path, spelled: Callable[[Path], Path]
) -> None:
    other = spelled(path)
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path, autosave=False)
        peer.replica.document.set_source("a", "new")
        await peer.sync()
        refused = await peer.ask(requests.CloneNotebook(str(other), overwrite=True))
        assert "is the notebook itself" in refused.error
        assert sources(path)[0] == "x = 1\n"
        saved = await peer.ask(requests.SaveNotebook(False, str(other)))
        assert isinstance(saved, responses.NotebookSaved), saved
        assert sources(path)[0] == "new"
        assert not daemon.listed()[str(path)].unsaved


async def test_images_of_a_cell_that_is_deleted_meanwhile_keep_nobody_from_theirs(
    path: Path, tmp_path: Path
) -> None:
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        room = room_of(daemon, path)
        room.assets_resolved({"gone": {"a.png": "0" * 64}, "a": {"b.png": "1" * 64}})
        assert room.document.resolved_assets("a") == {"b.png": "1" * 64}


async def test_a_broadcast_that_no_frame_can_hold_is_left_out(path: Path, tmp_path: Path) -> None:
    deep: object = 0
    for _ in range(2000):
        deep = [deep]
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        room = room_of(daemon, path)
        room.broadcast(broadcasts.Comm("comm_msg", {"data": deep}))
        room.broadcast(broadcasts.KernelStatus("idle"))
        await peer.hear(
            lambda event: (
                isinstance(event, events.Broadcast)
                and isinstance(event.broadcast, broadcasts.KernelStatus)
            )
        )


@pytest.mark.parametrize(
    "manifest",
    [b"[]", b'"text"', b"1", b'{"output_type": 1}', b"{}", b"[" * 5000 + b"]" * 5000],
)
async def test_an_output_that_is_none_keeps_the_file_as_it_is_and_the_room_ends_in_order(
    path: Path, tmp_path: Path, mock_clock: MockClock, manifest: bytes
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        hash_ = daemon.blobs.put_nowait(manifest, MANIFEST_MEDIA_TYPE)
        for entry in (hash_, manifest.decode()):
            peer.replica.document.set_outputs("a", [entry])
            await peer.sync()
            refused = await peer.ask(requests.SaveNotebook(False))
            assert "output 1 of cell a can't be read" in refused.error
            await pass_time(mock_clock, daemon, SAVED)
        with trio.fail_after(60):
            await daemon.rooms.shutdown_notebook(str(path))
        assert path.read_bytes() == before
        again = await open_file(daemon, path)
        assert again.replica.document.outputs("a") == [manifest.decode()]


async def test_a_room_counts_as_ended_whatever_its_last_save_raises(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        room = room_of(daemon, path)

        async def broken() -> None:
            raise KeyError("unforeseen")

        monkeypatch.setattr(room.file, "finish", broken)
        with trio.fail_after(60):
            await daemon.rooms.shutdown_notebook(str(path))
            await room.wait_ended()


def test_an_output_whose_type_is_no_text_is_refused_with_its_cell(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(cell("a", outputs=[{"output_type": 1}])))
    with pytest.raises(NotebookUnreadable, match=r"(?s)n.ipynb.*'output_type'.*not a text"):
        read_notebook(path)


async def test_what_was_refused_because_of_the_file_is_saved_once_the_file_is_good(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    good = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        path.write_bytes(b"garbage")
        peer.replica.document.set_source("a", "peer")
        await peer.sync()
        await pass_time(mock_clock, daemon, 5)
        path.write_bytes(good)  # as before, so that there is nothing to merge
        await pass_time(mock_clock, daemon, 1 + SAVED)
        assert sources(path)[0] == "peer"


async def test_a_room_that_closes_tries_once_more_what_was_refused(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    good = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        path.write_bytes(b"garbage")
        peer.replica.document.set_source("a", "peer")
        await peer.sync()
        await pass_time(mock_clock, daemon, 5)
        path.write_bytes(good)
        await daemon.rooms.shutdown_notebook(str(path))
        assert sources(path)[0] == "peer"


async def test_a_pipe_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "p.ipynb"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(NotebookUnreadable, match="it is no regular file"):
            read_notebook(path)


async def test_a_state_that_could_not_be_written_is_written_later(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_loopback(tmp_path) as daemon:
        await open_file(daemon, path)
        file = room_of(daemon, path).file
        await settle(daemon)

        def refuse(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(file._documents, "write_state", refuse)
            await file._save_state()
        assert file._state_is_news
        await file._save_state()
        assert not file._state_is_news


async def test_saving_over_json_that_is_no_notebook_leaves_it(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "data.ipynb"
    other.write_bytes(orjson.dumps({"rows": [1, 2]}))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        refused = await peer.ask(requests.SaveNotebook(False, str(other)))
        assert "data.ipynb" in refused.error
        assert orjson.loads(other.read_bytes()) == {"rows": [1, 2]}
