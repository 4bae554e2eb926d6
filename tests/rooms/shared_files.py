"""What tests of notebook files need: time that waits for threads, notebooks, a text editor."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import trio
import trio.testing

from loopback import Loopback
from runtimed.protocol import handshake, requests
from wire_peer import WirePeer

__all__ = ["cell", "edit", "notebook", "open_file", "pass_time", "settle", "sources"]


async def settle(daemon: Loopback) -> None:
    """Wait until no task and no thread has anything to do."""
    await trio.testing.wait_all_tasks_blocked()
    while daemon.rooms._disk.borrowed_tokens:
        await trio.to_thread.run_sync(time.sleep, 0.001)
        await trio.testing.wait_all_tasks_blocked()


async def pass_time(clock: trio.testing.MockClock, daemon: Loopback, seconds: float) -> None:
    """Let time pass in steps, and everybody do what there is to do after each."""
    await settle(daemon)
    for _ in range(round(seconds / 0.25)):
        clock.jump(0.25)
        await settle(daemon)


def cell(cell_id: str | None, source: str = "", **parts: Any) -> dict[str, Any]:
    found = {
        "cell_type": "code",
        "source": source,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        **parts,
    }
    return found if cell_id is None else {"id": cell_id, **found}


def notebook(*cells: dict[str, Any], minor: int = 5, **parts: Any) -> bytes:
    return orjson.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": minor, **parts}
    )


def edit(path: Path, change: Callable[[Any], object], *, in_place: bool = False) -> None:
    """Read, change and write a file, as a text editor does."""
    content = orjson.loads(path.read_bytes())
    change(content)
    data = orjson.dumps(content, option=orjson.OPT_INDENT_2)
    if in_place:
        path.write_bytes(data)
    else:
        temporary = path.with_name(f"{path.name}~")
        temporary.write_bytes(data)
        temporary.rename(path)


def sources(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in orjson.loads(path.read_bytes())["cells"]]


async def open_file(daemon: Loopback, path: Path, autosave: bool | None = None) -> WirePeer:
    """A peer in the room of a file, with all of the file in its replica."""
    peer = daemon.connect()
    reply = await peer.open(handshake.OpenNotebook(str(path), autosave))
    assert not reply.error, reply.error
    await peer.ask(requests.GetHeads())
    await peer.sync()
    return peer
