"""Saving a notebook where something is in the way: links, odd content, files that come and go."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
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
    sources,
)
from trio.testing import MockClock

from loopback import open_loopback
from runtimed.errors import BlobStoreFull, SaveRefused
from runtimed.protocol import responses
from runtimed.rooms.notebook_saving import write_notebook


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook(cell("a", "x = 1\n"), cell("b", "y = 1\n")))
    return path


@pytest.fixture(autouse=True)
def running_clock(mock_clock: MockClock) -> None:
    """Time passes, since peers are told some things after a moment; the tests add to it."""
    mock_clock.rate = 0.1


@pytest.mark.parametrize("spelling", ["symlink", "hardlink.ipynb", "folder/../n.ipynb"])
async def test_a_save_to_another_spelling_of_the_path_is_one_of_the_file_itself(
    path: Path, tmp_path: Path, spelling: str
) -> None:
    (tmp_path / "symlink.ipynb").symlink_to(path)
    os.link(path, tmp_path / "hardlink.ipynb")
    (tmp_path / "folder").mkdir()
    async with open_loopback(tmp_path, autosave=False) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        edit(path, lambda content: set_source(content, 1, "editor\n"), in_place=True)
        answer = await save(peer, tmp_path / spelling)
        assert answer == responses.NotebookSaved(str(path))
        assert sources(path) == ["x = 1\npeer\n", "editor\n"]
        assert not daemon.listed()[str(path)].unsaved
    assert (tmp_path / "symlink.ipynb").is_symlink()


@pytest.mark.parametrize("content", [b"my notes", b'{"a": 1}', b"[]"])
async def test_a_copy_is_not_saved_over_something_that_is_no_notebook(
    path: Path, tmp_path: Path, content: bytes
) -> None:
    other = tmp_path / "other.ipynb"
    other.write_bytes(content)
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        assert "would overwrite it" in (await save(peer, other)).error
        assert other.read_bytes() == content
        other.write_bytes(notebook(cell("o", "old")))
        assert (await save(peer, other)).path == str(other)
        assert sources(other) == ["x = 1\n", "y = 1\n"]


def nested(depth: int, leaf: str = "1") -> str:
    return "[" * depth + leaf + "]" * depth


@pytest.mark.parametrize(
    ("output", "as_blob"),
    [
        ("[]", True),
        ('"text"', True),
        ("7", False),
        ('{"output_type": 7}', True),
        ('{"output_type": []}', False),
        ('{"output_type": {}}', True),
        (f'{{"output_type": "new", "value": {nested(600)}}}', False),
        (f'{{"output_type": "new", "value": {nested(1000)}}}', False),
        (f'{{"output_type": "new", "value": {nested(5000, "1" * 20)}}}', False),
        (f'{{"output_type": "display_data", "data": {nested(5000, "1" * 20)}}}', True),
    ],
)
async def test_an_output_that_is_none_refuses_the_save_and_costs_nothing_else(
    path: Path, tmp_path: Path, mock_clock: MockClock, output: str, as_blob: bool
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        entry = output
        if as_blob:
            entry = daemon.blobs.put_nowait(output.encode(), "application/json")
        peer.replica.document.set_outputs("b", [entry])
        peer.replica.document.set_source("a", "edited")
        await peer.sync()
        error = (await save(peer)).error
        assert "output 1 of cell b can't be read" in error
        assert "nothing was saved" in error
        await pass_time(mock_clock, daemon, SAVED)
        assert await daemon.rooms.shutdown_notebook(str(path))
        assert path.read_bytes() == before
        peer = await open_file(daemon, path)
        assert peer.replica.document.source("a") == "edited"
        assert peer.replica.document.outputs("b") == [entry]
        peer.replica.document.clear_outputs("b")
        await peer.sync()
        assert (await save(peer)).path == str(path)
        assert sources(path)[0] == "edited"


async def test_an_output_as_deep_as_a_file_may_have_it_is_saved_and_read_again(
    path: Path, tmp_path: Path
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        output = f'{{"output_type":"new","value":{nested(449)}}}'
        peer.replica.document.set_outputs("b", [output])
        await peer.sync()
        assert (await save(peer)).path == str(path)
        copy = tmp_path / "copy.ipynb"
        path.rename(copy)
        peer = await open_file(daemon, copy)
        assert peer.replica.document.outputs("b") == [output]


def test_a_notebook_too_deep_to_be_written_is_refused(path: Path) -> None:
    before = path.read_bytes()
    metadata: Any = {}
    for _ in range(5000):
        metadata = {"a": metadata}
    with pytest.raises(SaveRefused, match="nested too deeply"):
        write_notebook(path, [], {"runt": metadata}, lambda _: None, path)
    assert path.read_bytes() == before


async def test_an_output_without_a_type_stays_as_it_is_in_the_file(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(notebook(cell("a", "x", outputs=[{"text": "odd"}])))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_source("a", "y")
        await peer.sync()
        assert (await save(peer)).path == str(path)
        [saved] = orjson.loads(path.read_bytes())["cells"]
        assert (saved["source"], saved["outputs"]) == (["y"], [{"text": "odd"}])


async def test_what_a_refused_autosave_left_is_written_once_the_file_is_as_before(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        path.write_bytes(b"{")
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        await pass_time(mock_clock, daemon, 5)
        assert path.read_bytes() == b"{"
        path.write_bytes(before)
        await pass_time(mock_clock, daemon, SEEN + SAVED)
        assert sources(path)[0] == "x = 1\npeer\n"
        assert not daemon.listed()[str(path)].unsaved


async def test_changes_are_written_after_a_save_that_was_asked_for_was_refused(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        peer.replica.document.set_outputs("b", ["f" * 64])  # a blob that nobody has
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
        assert "nothing was saved" in (await save(peer)).error
        await pass_time(mock_clock, daemon, SAVED)
        peer.replica.document.clear_outputs("b")
        peer.replica.document.set_source("a", "edited")
        await peer.sync()
        await pass_time(mock_clock, daemon, SAVED)
        assert sources(path)[0] == "edited"


async def test_a_room_that_ends_after_a_refused_autosave_tries_again(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        path.write_bytes(b"{")
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        await pass_time(mock_clock, daemon, 5)
        path.write_bytes(before)
        assert await daemon.rooms.shutdown_notebook(str(path))
        assert sources(path)[0] == "x = 1\npeer\n"


async def test_an_autosave_for_which_the_blob_store_has_no_room_is_tried_again(
    path: Path, tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> str:
        raise BlobStoreFull("blob store is full")

    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        monkeypatch.setattr(daemon.blobs, "put_nowait", full)
        output = {"output_type": "stream", "name": "stdout", "text": "editor"}
        edit(path, lambda content: content["cells"][1].update(outputs=[output]))
        theirs = path.read_bytes()
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        await pass_time(mock_clock, daemon, 10)
        assert path.read_bytes() == theirs
        assert daemon.listed()[str(path)].unsaved
        monkeypatch.undo()
        await pass_time(mock_clock, daemon, 6)
        assert sources(path)[0] == "x = 1\npeer\n"
        assert len(room_of(daemon, path).document.outputs("b")) == 1
        assert not daemon.listed()[str(path)].unsaved


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
async def test_something_else_in_the_place_of_the_file_holds_nothing_up(
    path: Path, tmp_path: Path, mock_clock: MockClock, make: Any
) -> None:
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        path.unlink()
        make(path)
        peer.replica.document.append_source("a", "peer\n")
        await peer.sync()
        await pass_time(mock_clock, daemon, 5)
        assert "no regular file" in (await save(peer)).error
        (path.rmdir if path.is_dir() else path.unlink)()
        path.write_bytes(before)
        await pass_time(mock_clock, daemon, SEEN + SAVED)
        assert sources(path)[0] == "x = 1\npeer\n"


async def test_what_is_remembered_of_the_file_is_written_once_the_disk_takes_it(
    path: Path, tmp_path: Path, mock_clock: MockClock
) -> None:
    name = hashlib.sha256(str(path).encode()).hexdigest()
    in_the_way = tmp_path / "documents" / f".{name}.json.tmp"
    in_the_way.mkdir(parents=True)
    async with open_loopback(tmp_path, autosave=False) as daemon:
        peer = await open_file(daemon, path)
        await pass_time(mock_clock, daemon, 1)
        assert not (tmp_path / "documents" / f"{name}.json").exists()
        in_the_way.rmdir()
        peer.replica.document.set_source("a", "unsaved")
        await peer.sync()
        await pass_time(mock_clock, daemon, 1)
    async with open_loopback(tmp_path, autosave=False) as daemon:
        await open_file(daemon, path)
        assert in_document(daemon, path)[0] == "unsaved"
