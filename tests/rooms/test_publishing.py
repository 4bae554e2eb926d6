"""How often a running cell changes the document, by the test's own time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from loopback import FakeKernel, Loopback, open_loopback
from runtimed.protocol import broadcasts, events, requests
from runtimed.rooms.room import Room
from wire_peer import WirePeer

Say = Callable[[FakeKernel, str, int], None]


def progress_bar(kernel: FakeKernel, msg_id: str, number: int) -> None:
    kernel.say(msg_id, "stream", {"name": "stdout", "text": f"\r{number}"})


def updated_display(kernel: FakeKernel, msg_id: str, number: int) -> None:
    kind = "update_display_data" if number else "display_data"
    transient = {"display_id": "d"}
    data = {"text/plain": f"{number}"}
    kernel.say(msg_id, kind, {"data": data, "metadata": {}, "transient": transient})


def redrawn_display(kernel: FakeKernel, msg_id: str, number: int) -> None:
    kernel.say(msg_id, "clear_output", {"wait": True})
    kernel.say(msg_id, "display_data", {"data": {"text/plain": f"{number}"}, "metadata": {}})


def cleared_display(kernel: FakeKernel, msg_id: str, number: int) -> None:
    kernel.say(msg_id, "clear_output", {"wait": False})
    kernel.say(msg_id, "display_data", {"data": {"text/plain": f"{number}"}, "metadata": {}})


async def pass_time(clock: trio.testing.MockClock, seconds: float) -> None:
    clock.jump(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def run(clock: trio.testing.MockClock, peer: WirePeer, cell_id: str) -> None:
    await peer.send(events.Request(requests.ExecuteCell(cell_id), None))
    await trio.testing.wait_all_tasks_blocked()
    await pass_time(clock, 0.05)


async def end(clock: trio.testing.MockClock, peer: WirePeer, kernel: FakeKernel) -> None:
    """Finish the busy cell, and let the peer hear of it."""
    kernel.finish()
    await trio.testing.wait_all_tasks_blocked()
    await pass_time(clock, 0.05)
    await peer.hear_done("c" if kernel.kernel_id == "kernel-1" else "other")


async def busy_cell(
    clock: trio.testing.MockClock, daemon: Loopback
) -> tuple[WirePeer, Room, FakeKernel, str]:
    peer = await daemon.join("room")
    peer.replica.document.insert_cell("c", "code", "wait")
    await peer.sync()
    await peer.ask(requests.LaunchKernel("python", "auto"))
    await run(clock, peer, "c")
    room = daemon.rooms.find("room")
    assert room is not None
    [kernel] = daemon.kernels.launched
    return peer, room, kernel, f"{kernel.kernel_id}-1"


def shown(daemon: Loopback, room: Room) -> str:
    [entry] = room.document.outputs("c")
    manifest = orjson.loads(daemon.blobs.read(entry) or b"")
    if manifest["output_type"] == "stream":
        return str(manifest["text"]["inline"])
    return str(manifest["data"]["text/plain"]["inline"])


@pytest.mark.parametrize("say", [progress_bar, updated_display, redrawn_display, cleared_display])
async def test_a_cell_that_shows_the_same_place_anew_and_anew_makes_few_changes(
    tmp_path: Path, mock_clock: trio.testing.MockClock, say: Say
) -> None:
    async with open_loopback(tmp_path) as daemon:
        _, room, kernel, msg_id = await busy_cell(mock_clock, daemon)
        before = room.document.changes
        say(kernel, msg_id, 0)
        await trio.testing.wait_all_tasks_blocked()
        await pass_time(mock_clock, 0.008)
        assert shown(daemon, room).endswith("0")  # the first one is there at once
        for number in range(1, 1501):
            say(kernel, msg_id, number)
            await pass_time(mock_clock, 0.02)
        assert room.document.changes - before < 70  # of 30 seconds
        kernel.finish()
        await trio.testing.wait_all_tasks_blocked()
        assert shown(daemon, room).endswith("1500")


@pytest.mark.parametrize("say", [progress_bar, updated_display, redrawn_display])
async def test_what_is_shown_anew_now_and_then_is_there_at_once(
    tmp_path: Path, mock_clock: trio.testing.MockClock, say: Say
) -> None:
    async with open_loopback(tmp_path) as daemon:
        _, room, kernel, msg_id = await busy_cell(mock_clock, daemon)
        for number in range(50):
            say(kernel, msg_id, number)
            await trio.testing.wait_all_tasks_blocked()
            await pass_time(mock_clock, 0.008)
            assert shown(daemon, room).endswith(f"{number}")
            await pass_time(mock_clock, 0.3)


async def test_a_display_update_is_told_after_its_output_is_in_the_document(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer, _, kernel, msg_id = await busy_cell(mock_clock, daemon)
        for number in range(100):
            updated_display(kernel, msg_id, number)
            await pass_time(mock_clock, 0.01)
        await end(mock_clock, peer, kernel)
        news = [
            event.broadcast
            for event in peer.heard
            if isinstance(event, events.Broadcast)
            and isinstance(event.broadcast, (broadcasts.DisplayUpdate, broadcasts.Output))
        ]
        last_output: Any = next(e for e in reversed(news) if isinstance(e, broadcasts.Output))
        updates = [e for e in news if isinstance(e, broadcasts.DisplayUpdate)]
        assert updates[-1].data == {"text/plain": "99"}
        assert len(updates) < 15
        assert news.index(last_output) < news.index(updates[-1])
        assert orjson.loads(last_output.manifest)["data"]["text/plain"]["inline"] == "99"
        await peer.sync()
        assert peer.replica.document.outputs("c") == [last_output.output_json]


async def test_displays_of_an_earlier_kernel_are_updated_at_the_same_pace(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer, room, kernel, msg_id = await busy_cell(mock_clock, daemon)
        updated_display(kernel, msg_id, 0)
        await end(mock_clock, peer, kernel)
        await peer.ask(requests.ShutdownKernel())
        await peer.ask(requests.LaunchKernel("python", "auto"))
        peer.replica.document.insert_cell("other", "code", "wait")
        await peer.sync()
        await run(mock_clock, peer, "other")
        kernel = daemon.kernels.launched[-1]
        before = room.document.changes
        for number in range(1, 501):
            updated_display(kernel, f"{kernel.kernel_id}-1", number)
            await pass_time(mock_clock, 0.02)
        assert 5 < room.document.changes - before < 50
        await end(mock_clock, peer, kernel)
        assert shown(daemon, room) == "500"
