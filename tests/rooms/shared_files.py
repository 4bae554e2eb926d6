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
from runtimed.protocol import broadcasts, events, handshake, requests
from runtimed.rooms.room import Room
from wire_peer import WirePeer

__all__ = [
    "SAVED", "SEEN", "cell", "edit", "in_document", "notebook", "open_file", "pass_time", "room_of",
    "save", "set_source", "settle", "sources", "told",
]  # fmt: skip

# Seconds within which a change of the file is in the document, and one of the document in the file.
SEEN = 1.0
SAVED = 2.25


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


def room_of(daemon: Loopback, path: Path) -> Room:
    room = daemon.rooms.find(str(path))
    assert room is not None
    return room


def in_document(daemon: Loopback, path: Path) -> list[str]:
    return [cell.source for cell in room_of(daemon, path).document.cells()]


def told(peer: WirePeer) -> list[Any]:
    """The news of merged files that a peer has heard."""
    return [
        event.broadcast
        for event in peer.heard
        if isinstance(event, events.Broadcast)
        and isinstance(event.broadcast, broadcasts.FileChanged)
    ]


async def save(peer: WirePeer, path: Path | None = None) -> Any:
    return await peer.ask(requests.SaveNotebook(False, str(path) if path else None))


def set_source(content: Any, index: int, source: str) -> None:
    content["cells"][index]["source"] = source
