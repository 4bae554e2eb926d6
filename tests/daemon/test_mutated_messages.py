"""Mutated valid messages on every channel: who sends them may be dropped, nothing else changes.

A notebook is open with a healthy peer in it, a cell that runs and one that waits. Afterwards all of
that is as it was, no task is left over, and nothing that happened was worth a traceback.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conversations import CONVERSATIONS, ROOM
from loopback import Loopback, open_loopback
from mutations import mutated
from runtimed.protocol import requests
from runtimed.protocol.connection import PREAMBLE
from wire_peer import WirePeer, read_to_end

#: Cells that the mutated messages never name.
CELLS = {"runs": "wait", "waits": "print 2", "text": "some text"}


class Watch(logging.Handler):
    """Keeps what the daemon logs."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[str] = []
        self.failures: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            self.failures.append(f"{text}: {record.exc_info[1]!r}")
        elif "dropped" in text:
            self.dropped.append(text.partition("reason=")[2])


@asynccontextmanager
async def a_notebook_at_work() -> AsyncIterator[tuple[Loopback, WirePeer, Watch]]:
    """A healthy peer, a running cell and a waiting one. On leaving, all of it must be as it was."""
    watch = Watch()
    logger = logging.getLogger("runtimed")
    logger.addHandler(watch)
    try:
        with TemporaryDirectory() as folder, trio.fail_after(60):
            async with open_loopback(Path(folder)) as daemon:
                healthy = await daemon.join(ROOM)
                for cell_id, source in CELLS.items():
                    kind = "markdown" if cell_id == "text" else "code"
                    healthy.replica.document.insert_cell(cell_id, kind, source)
                await healthy.sync()
                await healthy.ask(requests.LaunchKernel("python", "auto"))
                for cell_id in ("runs", "waits"):
                    await healthy.ask(requests.ExecuteCell(cell_id))
                await trio.testing.wait_all_tasks_blocked(0.03)
                tasks = trio.lowlevel.current_statistics().tasks_living
                yield daemon, healthy, watch
                await trio.testing.wait_all_tasks_blocked(0.01)
                await check(daemon, healthy)
                rooms = len(daemon.listed())  # each has tasks of its own
                if rooms == 1:
                    assert trio.lowlevel.current_statistics().tasks_living <= tasks
    finally:
        logger.removeHandler(watch)
    assert not watch.failures


async def check(daemon: Loopback, healthy: WirePeer) -> None:
    """The notebook and everybody in it are as they were, and work."""
    room = daemon.rooms.find(ROOM)
    assert room is not None
    assert len(room.peers) == 1
    assert {cell.id: cell.source for cell in room.document.cells() if cell.id in CELLS} == CELLS
    state = await healthy.ask(requests.GetQueueState())
    assert (state.executing, list(state.queued)) == ("runs", ["waits"])
    kernel = daemon.kernels.launched[0]  # others belong to notebooks that were opened by chance
    assert kernel.running
    assert kernel.executed == ["wait"]
    assert kernel.interrupts == 0
    await healthy.sync()
    assert healthy.replica.document.cells() == room.document.cells()
    healthy.replica.document.insert_cell("after", "code", "")
    await healthy.sync()
    kernel.finish()
    assert (await healthy.hear_done("runs")).outcome == "ok"
    assert (await healthy.hear_done("waits")).outcome == "ok"
    assert kernel.executed == ["wait", "print 2"]


#: Channels on which a fault can be told.
TELLING = ("handshake", "notebook", "pool: ", "blob")


async def send_and_close(daemon: Loopback, data: bytes, watch: Watch) -> tuple[bytes, list[str]]:
    """What the daemon answers to these bytes and the end of the stream; the faults it saw."""
    before = len(watch.dropped)
    stream = daemon.connect_raw()
    answer = b""

    async def listen() -> None:
        nonlocal answer
        answer = await read_to_end(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        try:
            await stream.send_all(data)
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_eof()  # type: ignore[attr-defined]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
    await stream.aclose()
    return answer, watch.dropped[before:]


def frames_of(answer: bytes) -> list[bytes]:
    """The frames of an answer, which must be nothing but whole frames."""
    frames = []
    while answer:
        [size] = struct.unpack(">I", answer[:4])
        assert len(answer) >= 4 + size
        frames.append(answer[4 : 4 + size])
        answer = answer[4 + size :]
    return frames


def check_last_words(name: str, answer: bytes, faults: Sequence[str]) -> None:
    """Who was dropped has been told why, as the last thing and readably."""
    frames = frames_of(answer)
    for fault in faults:
        if name.startswith(TELLING):
            words = orjson.loads(frames[-1].removeprefix(b"\2"))
            assert words.get("error", words.get("message")) == fault


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_mutated_messages_change_nothing_but_their_sender(name: str) -> None:
    conversation, first = CONVERSATIONS[name]

    @settings(
        max_examples=10,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.lists(mutated(conversation, first), min_size=1, max_size=8))
    def run(mutants: list[bytes]) -> None:
        async def main() -> None:
            async with a_notebook_at_work() as (daemon, _, watch):
                for mutant in mutants:
                    answer, faults = await send_and_close(daemon, PREAMBLE + mutant, watch)
                    check_last_words(name, answer, faults)

        trio.run(main)

    run()


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_conversations_are_valid_before_they_are_mutated(name: str) -> None:
    async def main() -> None:
        async with a_notebook_at_work() as (daemon, _, watch):
            data = b"".join(struct.pack(">I", len(f)) + f for f in CONVERSATIONS[name][0])
            answer, faults = await send_and_close(daemon, PREAMBLE + data, watch)
            assert not faults
            assert answer

    trio.run(main)
