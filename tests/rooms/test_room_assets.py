"""Images in markdown cells of a room: resolved to blobs, and only those that may be."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.document.assets import MAX_ASSET_SIZE, RelativeFile
from runtimed.protocol import handshake, requests
from runtimed.rooms.assets import read_image
from wire_peer import WirePeer

UNTITLED = "8f0f5a0e-3f5e-4d6c-9d2a-3a5b6c7d8e9f"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_notebook(path: Path, source: str, attachments: Any = None) -> None:
    cell = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": source}
    if attachments is not None:
        cell["attachments"] = attachments
    code: dict[str, Any] = {"cell_type": "code", "id": "c", "metadata": {}, "source": "![a](a.png)",
            "outputs": [], "execution_count": None}  # fmt: skip
    value = {"cells": [cell, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(value))


async def open_file(daemon: Loopback, path: Path) -> WirePeer:
    peer = daemon.connect()
    await peer.open(handshake.OpenNotebook(str(path)))
    await peer.ask(requests.GetHeads())
    await peer.sync()
    return peer


@pytest.fixture
def quick_clock() -> trio.testing.MockClock:
    """Ten times as fast as the real one. It does not jump, since files are read meanwhile."""
    return trio.testing.MockClock(rate=10)


async def wait_assets(peer: WirePeer, expected: dict[str, str], cell_id: str = "m") -> None:
    """Wait until the images of a cell are these."""
    document = peer.replica.document
    with trio.move_on_after(300):
        while document.resolved_assets(cell_id) != expected:
            await trio.sleep(0.1)
            await peer.sync()
    assert document.resolved_assets(cell_id) == expected


async def test_images_beside_the_notebook_and_attached_ones_become_blobs(
    quick_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(b"image a")
    (tmp_path / "sub" / "b.svg").write_bytes(b"<svg/>")
    large = bytes(range(256)) * 40
    attachments = {
        "small.png": {"image/png": base64.b64encode(b"small").decode()},
        "large.png": {"image/png": base64.encodebytes(large).decode()},
        "text.svg": {"image/svg+xml": ["<svg>", "</svg>"]},
        "odd.png": {"image/png": "no base64!"},
    }
    write_notebook(
        tmp_path / "n.ipynb",
        "![a](a.png) <img src='sub/b.svg?v=2'> ![](attachment:small.png) ![](attachment:large.png)"
        " ![](attachment:text.svg) ![](attachment:odd.png) ![](missing.png) ![](http://x/a.png)",
        attachments,
    )
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, tmp_path / "n.ipynb")
        await wait_assets(
            peer,
            {
                "a.png": sha256(b"image a"),
                "sub/b.svg?v=2": sha256(b"<svg/>"),
                "attachment:small.png": sha256(b"small"),
                "attachment:large.png": sha256(large),
                "attachment:text.svg": sha256(b"<svg></svg>"),
            },
        )
        assert await daemon.blobs.load(sha256(b"<svg/>")) == b"<svg/>"
        meta = daemon.blobs.meta(sha256(large))
        assert meta is not None
        assert meta.media_type == "image/png"
        assert peer.replica.document.resolved_assets("c") == {}  # it is no markdown
        # Files hold nothing of it, so nothing is unsaved.
        assert daemon.listed()[str(tmp_path / "n.ipynb")].unsaved is None


async def test_images_elsewhere_stay_there(
    quick_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "out.png").write_bytes(b"outside")
    (folder / "in.png").write_bytes(b"inside")
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "good.png").symlink_to(folder / "in.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    with (folder / "huge.png").open("wb") as file:
        file.truncate(MAX_ASSET_SIZE + 1)
    names = ["../out.png", "link.png", "up/out.png", "folder.png", "pipe.png", "huge.png"]
    names += ["sub/../../out.png", f"file://{tmp_path}/out.png", "good.png", "../notebooks/in.png"]
    write_notebook(folder / "n.ipynb", " ".join(f"![]({name})" for name in names))
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, folder / "n.ipynb")
        await wait_assets(
            peer,
            {
                "good.png": sha256(b"inside"),
                "../notebooks/in.png": sha256(b"inside"),
            },
        )


async def test_images_follow_the_edits_of_peers(
    quick_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").write_bytes(b"b")
    write_notebook(tmp_path / "n.ipynb", "![](a.png)")
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, tmp_path / "n.ipynb")
        await wait_assets(peer, {"a.png": sha256(b"a")})
        peer.replica.document.append_source("m", " ![](b.png)")
        await peer.sync()
        await wait_assets(peer, {"a.png": sha256(b"a"), "b.png": sha256(b"b")})
        (tmp_path / "a.png").write_bytes(b"other a")
        peer.replica.document.append_source("m", " again")
        await peer.sync()
        await wait_assets(peer, {"a.png": sha256(b"other a"), "b.png": sha256(b"b")})
        peer.replica.document.set_source("m", "none")
        await peer.sync()
        await wait_assets(peer, {})
        peer.replica.document.set_cell_type("c", "markdown")
        await peer.sync()
        await wait_assets(peer, {"a.png": sha256(b"other a")}, "c")


async def test_an_untitled_notebook_shows_attachments_only(
    quick_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join(UNTITLED)
        document = peer.replica.document
        document.insert_cell("m", "markdown", "![](a.png) ![](attachment:a%20b.png)")
        inline = base64.b64encode(b"attached").decode()
        document.set_attachments("m", {"a b.png": {"image/png": {"inline": inline}}})
        await peer.sync()
        await wait_assets(peer, {"attachment:a%20b.png": sha256(b"attached")})


async def test_images_that_changed_while_the_notebook_was_closed_are_read_again(
    quick_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    write_notebook(tmp_path / "n.ipynb", "![](a.png)")
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, tmp_path / "n.ipynb")
        await wait_assets(peer, {"a.png": sha256(b"a")})
    (tmp_path / "a.png").write_bytes(b"other")
    async with open_loopback(tmp_path) as daemon:
        peer = await open_file(daemon, tmp_path / "n.ipynb")
        await wait_assets(peer, {"a.png": sha256(b"other")})


async def test_cells_deleted_while_their_images_were_read_are_passed_over(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join(UNTITLED)
        peer.replica.document.insert_cell("m", "markdown", "")
        await peer.sync()
        room = daemon.rooms.find(UNTITLED)
        assert room is not None
        room.assets_resolved({"gone": {"a.png": "0" * 64}, "m": {"b.png": "1" * 64}})
        await peer.sync()
        assert peer.replica.document.resolved_assets("m") == {"b.png": "1" * 64}
        assert peer.replica.document.cell_ids() == ["m"]


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    target = RelativeFile("a.png", "image/png")
    (tmp_path / "a.png").write_bytes(b"a")
    first = read_image(tmp_path, target, None)
    assert first is not None
    assert first.data == b"a"
    assert read_image(tmp_path, target, first) is first
    (tmp_path / "a.png").write_bytes(b"ab")
    again = read_image(tmp_path, target, first)
    assert again is not None
    assert again.data == b"ab"
