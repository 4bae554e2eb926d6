"""A run waits for what others run in the notebook, and runs its cells itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from loopback_sessions import open_daemon

from loopback import FakeKernel
from runt_cli.running import CellReport, run_cell
from runtimed import AsyncSession
from runtimed.client.results import Cell, InputRequest, Output, QueueState
from waiting import wait_until_async


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.waits = trio.Event()
        self.outputs: list[str | None] = []

    def others_run(self, queue: QueueState) -> None:
        self.waits.set()

    def cell_started(self, number: int, total: int, cell: Cell) -> None: ...
    def output(self, index: int, output: Output) -> None:
        self.outputs.append(output.text)

    def asked(self, question: InputRequest) -> None: ...
    def cell_ended(self, report: CellReport) -> None: ...


@asynccontextmanager
async def _two(folder: Path) -> AsyncIterator[tuple[AsyncSession, AsyncSession, FakeKernel, str]]:
    """Two sessions of one notebook, the first of which runs the cell."""
    async with open_daemon(folder) as daemon, AsyncSession("n") as first, AsyncSession("n") as mine:
        await first.start_kernel()
        await mine.start_kernel()
        cell_id = await first.create_cell("wait")
        await first.queue_cell(cell_id)
        await mine._in_step()
        yield first, mine, daemon.kernels.launched[0], cell_id


@pytest.mark.parametrize("ending", ["ok", "error"])
async def test_a_cell_that_somebody_else_runs_is_run_again(tmp_path: Path, ending: str) -> None:
    async with _two(tmp_path) as (_, mine, kernel, cell_id), trio.open_nursery() as nursery:
        seen = Seen()
        reports: list[CellReport] = []

        async def run() -> None:
            reports.append(await run_cell(mine, cell_id, seen))

        nursery.start_soon(run)
        await seen.waits.wait()
        kernel.print_more("the other's")
        kernel.finish(ending)
        await wait_until_async(lambda: len(kernel.executed) == 2)
        kernel.print_more("mine")
        kernel.finish()
        await wait_until_async(lambda: reports)
        assert reports[0].outcome == "ok"
        assert reports[0].execution_count == 2
        assert "".join(text or "" for text in seen.outputs) == "mine"


async def test_giving_up_while_others_run_interrupts_nothing(tmp_path: Path) -> None:
    async with _two(tmp_path) as (_, mine, kernel, cell_id), trio.open_nursery() as nursery:
        seen = Seen()
        nursery.start_soon(run_cell, mine, cell_id, seen)
        await seen.waits.wait()
        nursery.cancel_scope.cancel()
    assert kernel.interrupts == 0
    assert kernel.executed == ["wait"]


async def test_the_limit_counts_from_the_start_of_the_own_run(tmp_path: Path) -> None:
    async with _two(tmp_path) as (_, mine, kernel, cell_id), trio.open_nursery() as nursery:
        seen = Seen()
        reports: list[CellReport] = []

        async def run() -> None:
            reports.append(await run_cell(mine, cell_id, seen, timeout=0.05))

        nursery.start_soon(run)
        await seen.waits.wait()
        await trio.sleep(0.2)
        assert (kernel.interrupts, reports) == (0, [])
        kernel.finish()
        await wait_until_async(lambda: reports)
        assert reports[0].outcome == "timeout"
        assert kernel.interrupts == 1
