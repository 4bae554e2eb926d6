"""Runs cells one after the other in a session, and reports how each ended.

What is printed on the way is the caller's: outputs go to a `Watcher` as they come. Runs on Trio;
knows nothing of click.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from runtimed.client.async_session import stream_in_turn
from runtimed.client.results import Cell, InputRequest, Output, QueueState
from runtimed.errors import ConnectionLost, RuntimedError

if TYPE_CHECKING:
    from runtimed import AsyncSession

__all__ = ["CellReport", "Watcher", "run_cell", "run_cells", "told_when_stopped"]

#: A cell with this tag may fail, and the run goes on.
RAISES_EXCEPTION = "raises-exception"

#: How long an interrupted cell may take to notice, in seconds.
_INTERRUPT_GRACE = 5.0

#: How a cell ended that counts as having failed.
_FAILURES = frozenset({"error", "cancelled", "kernel_died", "timeout"})


class Watcher(Protocol):
    """Sees a run as it happens."""

    def others_run(self, queue: QueueState) -> None: ...
    def cell_started(self, number: int, total: int, cell: Cell) -> None: ...
    def output(self, index: int, output: Output) -> None: ...
    def asked(self, question: InputRequest) -> None: ...
    def cell_ended(self, report: CellReport) -> None: ...


@attrs.frozen(kw_only=True)
class CellReport:
    """How one code cell ended.

    Shape: `outcome` is `ok`, `error`, `cancelled` (somebody interrupted), `kernel_died`, `timeout`
    or `not_run` (an earlier cell failed). `allowed` says that a failure does not count: the cell
    may fail. `reason` is the text of a failure. `number` counts the code cells from 1.
    Units: duration in seconds.
    """

    id: str
    number: int
    outcome: str
    allowed: bool = False
    reason: str | None = None
    execution_count: int | None = None
    duration: float | None = None
    outputs: Sequence[Output] = ()

    @property
    def failed(self) -> bool:
        """Whether this cell ends the run."""
        return self.outcome in _FAILURES and not self.allowed


async def run_cells(
    session: AsyncSession,
    cells: Sequence[Cell],
    watcher: Watcher,
    *,
    timeout: float = math.inf,
    allow_errors: bool = False,
) -> list[CellReport]:
    """Run the code cells in order; the first that fails and may not is the last that is run.

    Units: timeout in seconds, for each cell.
    """
    code = [cell for cell in cells if cell.cell_type == "code"]
    reports: list[CellReport] = []
    failed = False
    for number, cell in enumerate(code, 1):
        if failed:
            reports.append(CellReport(id=cell.id, number=number, outcome="not_run"))
            continue
        watcher.cell_started(number, len(code), cell)
        report = await run_cell(session, cell.id, watcher, timeout=timeout)
        # Only what the code itself raised is forgiven: without a kernel nothing can go on.
        allowed = report.outcome == "error" and (allow_errors or RAISES_EXCEPTION in cell.tags)
        report = attrs.evolve(report, number=number, allowed=allowed)
        reports.append(report)
        watcher.cell_ended(report)
        failed = report.failed
    return reports


async def run_cell(
    session: AsyncSession, cell_id: str, watcher: Watcher, *, timeout: float = math.inf
) -> CellReport:
    """Run one cell to its end. On a timeout, or when the caller is cancelled, it is interrupted.

    What others run goes first. Waiting for it takes no time off the limit, and giving up while it
    is waited for interrupts nothing.
    """
    events = await stream_in_turn(session, cell_id, watcher.others_run)
    began = time.monotonic()
    count: int | None = None
    kernel_error: str | None = None
    error: Output | None = None
    ended = False
    try:
        with trio.move_on_after(timeout) as limit:
            # The limit is the scope's: silence alone is no reason to give a cell up.
            async for event in events:
                if event.event_type == "execution_started":
                    count = event.execution_count
                elif event.event_type == "output" and event.output is not None:
                    if event.output.output_type == "error":
                        error = event.output
                    watcher.output(event.output_index or 0, event.output)
                elif event.event_type == "input_request" and event.input_request is not None:
                    watcher.asked(event.input_request)
                elif event.event_type == "error":
                    kernel_error = event.error_message or "the kernel died"
            ended = True
    finally:
        if not ended:
            with trio.move_on_after(_INTERRUPT_GRACE, shield=True):
                await session.interrupt()
    cell = await session.get_cell(cell_id)
    outcome, reason = "ok", None
    if limit.cancelled_caught:
        outcome, reason = "timeout", f"still running after {timeout:g} seconds"
    elif kernel_error is not None:
        outcome, reason = "kernel_died", kernel_error
    elif error is not None:
        outcome, reason = _outcome(error)
    return CellReport(
        id=cell_id,
        number=1,
        outcome=outcome,
        reason=reason,
        execution_count=count if count is not None else cell.execution_count,
        duration=time.monotonic() - began,
        outputs=cell.outputs,
    )


@contextmanager
def told_when_stopped() -> Iterator[None]:
    """Say of a notebook that somebody has stopped just that."""
    try:
        yield
    except ConnectionLost as error:
        if str(error) != "The notebook was closed":
            raise
        raise RuntimedError("The notebook was stopped by somebody while it was run") from error


def _outcome(error: Output) -> tuple[str, str]:
    reason = f"{error.ename}: {error.evalue}" if error.evalue else str(error.ename)
    if error.ename == "ExecutionCancelled":
        return "cancelled", reason
    if error.ename == "KernelError":
        return "kernel_died", error.evalue or "the kernel died"
    return "error", reason
