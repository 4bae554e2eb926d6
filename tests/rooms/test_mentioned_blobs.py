"""What open notebooks mention: everything they have in the blob store."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import trio

from loopback import Loopback, open_loopback
from runtimed.blobs.marking import Task, look
from runtimed.protocol import handshake, requests

IMAGE = base64.b64encode(os.urandom(12_000)).decode()


def cell(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    common: dict[str, Any] = {
        "cell_type": kind,
        "id": f"{kind}-{number}",
        "metadata": {},
        "source": "",
    }
    if kind == "code":
        common |= {"outputs": [], "execution_count": None}
    return common | fields


async def garbage(daemon: Loopback, folder: Path) -> list[str]:
    """What a collection without any grace would remove now, were there no saved documents."""
    await daemon.blobs.flushed()
    live = sorted(await daemon.rooms.mentioned_blobs())
    task = Task(str(folder / "none"), str(daemon.blobs.root), str(folder / "marks"), 0.0, live)
    return (await trio.to_thread.run_sync(look, task, 1e12)).garbage


async def test_outputs_attachments_and_images_are_all_mentioned(tmp_path: Path) -> None:
    text = {"output_type": "stream", "name": "stdout", "text": "x" * 20_000}
    shown = {"output_type": "display_data", "data": {"image/png": IMAGE}, "metadata": {}}
    attached = {"a.png": {"image/png": IMAGE[4:]}}
    cells = [
        cell("code", 1, outputs=[text, shown]),
        cell("markdown", 1, source="![a](attachment:a.png) ![f](f.png)", attachments=attached),
        cell("raw", 1, attachments={"big.txt": {"text/plain": "y" * 10_000}}),
    ]
    path = tmp_path / "n.ipynb"
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))
    (tmp_path / "f.png").write_bytes(b"a picture")
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        await peer.ask(requests.GetHeads())
        room = daemon.rooms.find(str(path))
        assert room is not None
        with trio.fail_after(30):
            while len(room.document.resolved_assets("markdown-1")) < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert await garbage(daemon, tmp_path) == []
        # Two outputs, each a manifest and a blob.
        room.document.set_outputs("code-1", [])
        assert len(await garbage(daemon, tmp_path)) == 4
        room.document.delete_cell("markdown-1")
        room.document.delete_cell("raw-1")
        left = await garbage(daemon, tmp_path)
    assert len(left) == len(list((tmp_path / "blobs").glob("??/*.meta")))
