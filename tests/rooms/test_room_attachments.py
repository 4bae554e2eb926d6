"""Attachments of a notebook: from its file into the document, and back into files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import trio.testing

from loopback import open_loopback
from runtimed.protocol import handshake, requests
from wire_peer import WirePeer

SMALL = base64.b64encode(b"small").decode()
LARGE = base64.encodebytes(bytes(range(256)) * 40).decode()
ATTACHMENTS = {"s.png": {"image/png": SMALL}, "l.png": {"image/png": LARGE}}


def notebook() -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {"attachments": ATTACHMENTS, "cell_type": kind, "id": kind, "metadata": {}, "source": []}
        for kind in ("markdown", "raw")
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, value: Any) -> bytes:
    data = (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
    path.write_bytes(data)
    return data


async def save(peer: WirePeer, path: Path | None = None) -> Any:
    await peer.sync()
    reply = await peer.ask(
        requests.SaveNotebook(format_cells=False, path=str(path) if path else None)
    )
    return json.loads(Path(reply.path).read_bytes())


def attachments_in(saved: Any) -> dict[str, Any]:
    return {cell["id"]: cell.get("attachments") for cell in saved["cells"]}


async def test_attachments_are_in_the_document_and_go_back_into_the_file(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "n.ipynb"
    data = write(path, notebook())
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        await peer.ask(requests.GetHeads())
        await peer.sync()
        attachments = peer.replica.document.attachments("markdown")
        assert attachments["s.png"] == {"image/png": {"inline": SMALL}}
        reference = attachments["l.png"]["image/png"]
        assert daemon.blobs.read(reference["blob"]) == base64.b64decode(LARGE)
        await save(peer)
        assert path.read_bytes() == data


async def test_attachments_go_with_a_cell_that_moves_to_another_name_and_file(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "n.ipynb"
    write(path, notebook())
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        await peer.ask(requests.GetHeads())
        await peer.sync()
        document = peer.replica.document
        attachments = document.attachments("markdown")
        document.delete_cell("markdown")
        document.insert_cell("renamed", "markdown")
        document.set_attachments("renamed", attachments)
        saved = await save(peer, tmp_path / "copy.ipynb")
        assert attachments_in(saved) == {"raw": ATTACHMENTS, "renamed": ATTACHMENTS}


async def test_an_untitled_notebook_has_its_attachments_after_a_restart(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    notebook_id = "8f0f5a0e-3f5e-4d6c-9d2a-3a5b6c7d8e9f"
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.CreateNotebook("python", notebook_id=notebook_id))
        await peer.sync()
        peer.replica.document.insert_cell("m", "markdown")
        peer.replica.document.set_attachments("m", {"s.png": {"image/png": {"inline": SMALL}}})
        await peer.sync()
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.CreateNotebook("python", notebook_id=notebook_id))
        await peer.sync()
        saved = await save(peer, tmp_path / "out.ipynb")
        assert attachments_in(saved)["m"] == {"s.png": {"image/png": SMALL}}


async def test_a_missing_attachment_is_not_saved_away(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    path = tmp_path / "n.ipynb"
    data = write(path, notebook())
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        await peer.ask(requests.GetHeads())
        await peer.sync()
        gone = {"image/png": {"blob": "ab" * 32, "size": 9000, "encoding": "base64"}}
        peer.replica.document.set_attachments("raw", {"gone.png": gone})
        await peer.sync()
        reply = await peer.ask(requests.SaveNotebook(format_cells=False))
        assert "attachments of cell raw can't be read (blob abababababab is missing)" in reply.error
        assert path.read_bytes() == data
