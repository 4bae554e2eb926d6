"""Several peers in one room: news that reach a subscriber, an edit that reaches fifty, joining."""

from __future__ import annotations

import itertools
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack

import trio

from benchmarks.measure import Limit, Measurement, Sample
from benchmarks.row import Bench, Row, expect
from runtimed import AsyncSession, Session

PEERS = 50
CELLS = 2_000

#: Sends the time of sending as an output of its own, as often as the benchmark wants.
_SENDER = """
import time
from IPython.display import display
for _ in range({count}):
    display({{"text/plain": repr(time.monotonic())}}, raw=True)
    time.sleep(0.03)
"""


def subscriber(bench: Bench) -> list[Measurement]:
    """From the kernel's `display` to the event in another client's hand, on one clock.

    The kernel sends a display every 30 ms with the time in it; what a subscription takes to hand it
    out includes the way through the daemon's document.
    """
    return [
        Measurement(
            name="subscriber",
            unit="ms",
            ours=Sample(trio.run(_subscriber, bench.rounds(200, 40))),
            limits=(Limit(10),),
        )
    ]


async def _subscriber(count: int) -> list[float]:
    values = []
    async with AsyncSession() as runner:
        await runner.start_kernel()
        async with AsyncSession(runner.notebook_id) as watcher:
            await watcher.connect()
            events = watcher.subscribe(event_types=["output"])
            cell_id = await runner.create_cell(_SENDER.format(count=count))
            await runner.queue_cell(cell_id)
            with trio.fail_after(60):
                for _ in range(count):
                    event = await events.__anext__()
                    now = time.monotonic()
                    data = (event.output.data if event.output else None) or {}
                    expect("text/plain" in data, f"not what was displayed: {event}")
                    values.append((now - float(data["text/plain"])) * 1000)
            await events.close()
    return values[count // 10 :]


def fifty_peers(bench: Bench) -> list[Measurement]:
    """From one peer's `create_cell` until the last of fifty has the cell in its own document.

    The fifty live in processes of their own, ten each, because one Python process that serves fifty
    replicas would measure itself. All processes read the same clock.
    """
    return [
        Measurement(
            name="fifty-peers",
            unit="ms",
            ours=Sample(trio.run(_fifty_peers, bench.rounds(60, 15))),
            limits=(Limit(25),),
            note="until the last one has it",
        )
    ]


async def _fifty_peers(rounds: int) -> list[float]:
    values = []
    async with AsyncSession() as writer:
        await writer.connect()
        argv = [sys.executable, "-m", "benchmarks.peers", writer.notebook_id, str(PEERS // 5)]
        groups = [await trio.to_thread.run_sync(_start_group, argv) for _ in range(5)]
        try:
            for group in groups:
                await trio.to_thread.run_sync(_read_line, group)
            for number in range(rounds):
                start = time.monotonic()
                await writer.create_cell(f"value = {number}")
                with trio.fail_after(20):
                    seen = [
                        float(await trio.to_thread.run_sync(_read_line, group)) for group in groups
                    ]
                values.append((max(seen) - start) * 1000)
                await trio.sleep(0.05)
        finally:
            for group in groups:
                group.communicate()
    return values[rounds // 10 :]


def _start_group(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    expect(bool(line), "a group of peers has ended")
    return line


async def _follow(notebook_id: str, count: int) -> None:
    """Be some of the fifty: for each new cell, print when the last of them had it."""
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        peers = [await stack.enter_async_context(AsyncSession(notebook_id)) for _ in range(count)]
        for peer in peers:
            await peer.connect()
        nursery.start_soon(_until_stdin_ends, nursery.cancel_scope)
        print("ready", flush=True)
        for cells in itertools.count(1):
            for peer in peers:
                await _wait_cells(peer, cells)
            print(time.monotonic(), flush=True)


async def _wait_cells(peer: AsyncSession, count: int) -> None:
    await peer._linked().wait_until(lambda: len(peer._document) >= count)


async def _until_stdin_ends(scope: trio.CancelScope) -> None:
    await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
    scope.cancel()


def join_long(bench: Bench) -> list[Measurement]:
    """`connect` to a room of 2,000 cells that is open already, until all cells are there."""
    values = []
    with Session() as host:
        host.connect()
        for n in range(CELLS):
            host.create_cell(f"value_{n} = {n}\nprint(value_{n})")
        with Session(host.notebook_id) as first:
            first.connect()  # the daemon has them all then
        for _ in range(bench.rounds(15, 4)):
            with Session(host.notebook_id) as guest:
                start = time.perf_counter()
                guest.connect()
                values.append(time.perf_counter() - start)
                expect(len(guest.get_cells()) == CELLS, "cells are missing")
    return [
        Measurement(
            name="join-2000",
            unit="s",
            ours=Sample(values),
            limits=(Limit(0.5),),
            note=f"mean {statistics.fmean(values):.3f} s",
        )
    ]


ROWS = (
    Row("subscriber", "an output reaches a subscriber", subscriber, alone=True),
    Row("fifty-peers", "an edit reaches fifty peers", fifty_peers, alone=True),
    Row("join-2000", "join a room of 2,000 cells", join_long, alone=True),
)


if __name__ == "__main__":
    trio.run(_follow, sys.argv[1], int(sys.argv[2]))
