"""Somebody who is in no room lists kernels and interrupts one."""

from __future__ import annotations

from pathlib import Path

from loopback import Loopback, open_loopback
from runtimed.protocol import handshake, pool, requests
from wire_peer import WirePeer


async def outsider(daemon: Loopback) -> WirePeer:
    admin = daemon.connect()
    await admin.open(handshake.Pool())
    return admin


async def test_an_interrupt_ends_what_runs_and_drops_what_waits(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        admin = await outsider(daemon)
        peer = await daemon.join("room")
        for number, source in enumerate(["wait", "print 1", "print 2"]):
            peer.replica.document.insert_cell(f"c{number}", "code", source)
        await peer.sync()
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await peer.ask(requests.RunAllCells())
        answer = await admin.ask_pool(pool.InterruptNotebook("room"))
        assert (answer.found, answer.has_kernel, answer.running) == (True, True, True)
        assert answer.dropped == 2
        done = [(await peer.hear_done(f"c{number}")).outcome for number in (1, 2, 0)]
        assert done == ["cancelled", "cancelled", "ok"]  # this kernel shows no error
        answer = await admin.ask_pool(pool.InterruptNotebook("room"))
        assert answer == pool.NotebookInterrupted(True, True, False, 0)
        assert daemon.kernels.launched[0].interrupts == 1


async def test_an_interrupt_without_a_kernel_or_a_room_says_so(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        admin = await outsider(daemon)
        await daemon.join("room")
        answer = await admin.ask_pool(pool.InterruptNotebook("room"))
        assert answer == pool.NotebookInterrupted(True, False, False, 0)
        answer = await admin.ask_pool(pool.InterruptNotebook("nowhere"))
        assert answer == pool.NotebookInterrupted(False, False, False, 0)
        assert set(daemon.listed()) == {"room"}


async def test_the_listing_names_kernels_those_in_stock_too(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        admin = await outsider(daemon)
        peer = await daemon.join("room")
        await peer.ask(requests.LaunchKernel("python", "auto"))
        daemon.kernels.warm = [pool.WarmKernel("w", 7, "python", "uv:prewarmed")]
        answer = await admin.ask_pool(pool.ListRooms())
        assert [room.kernel_id for room in answer.rooms] == [daemon.kernels.launched[0].kernel_id]
        assert list(answer.warm_kernels) == daemon.kernels.warm
