from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

from runt_cli.running import CellReport, run_cell, run_cells
from runtimed.client.results import Cell, ExecutionEvent, Output, QueueState

Script = Callable[[str], AsyncIterator[ExecutionEvent]]


def _error(ename: str, evalue: str = "no") -> Output:
    return Output(output_type="error", ename=ename, evalue=evalue, traceback=[f"{ename}: {evalue}"])


def _text(text: str) -> Output:
    return Output(output_type="stream", name="stdout", text=text)


class FakeSession:
    """A session whose cells do what a script says, by their source."""

    def __init__(self, *cells: Cell) -> None:
        self.cells = {cell.id: cell for cell in cells}
        self.outputs: dict[str, list[Output]] = {}
        self.interrupts = 0

    async def _stream_in_turn(self, cell_id: str, waiting: Any) -> AsyncIterator[Any]:
        return self._events(cell_id)

    async def _events(self, cell_id: str) -> AsyncIterator[ExecutionEvent]:
        source = self.cells[cell_id].source
        yield ExecutionEvent(event_type="execution_started", cell_id=cell_id, execution_count=1)
        if source == "sleep":
            await trio.sleep_forever()
        if source == "die":
            yield ExecutionEvent(event_type="error", cell_id=cell_id, error_message="exit code 1")
            return
        output = _error("ValueError") if source == "raise" else _text("hi\n")
        if source == "cancel":
            output = _error("ExecutionCancelled")
        self.outputs[cell_id] = [output]
        yield ExecutionEvent(event_type="output", cell_id=cell_id, output=output, output_index=0)
        yield ExecutionEvent(event_type="done", cell_id=cell_id)

    async def interrupt(self) -> None:
        self.interrupts += 1

    async def get_cell(self, cell_id: str) -> Cell:
        return Cell(id=cell_id, outputs=self.outputs.get(cell_id, []))


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.waited = 0
        self.started: list[tuple[int, int]] = []
        self.outputs: list[Output] = []
        self.ended: list[str] = []

    def others_run(self, queue: QueueState) -> None:
        self.waited += 1

    def cell_started(self, number: int, total: int, cell: Cell) -> None:
        self.started.append((number, total))

    def output(self, index: int, output: Output) -> None:
        self.outputs.append(output)

    def cell_ended(self, report: CellReport) -> None:
        self.ended.append(report.outcome)


def _cells(*sources: str) -> list[Cell]:
    return [Cell(id=f"c{number}", source=source) for number, source in enumerate(sources)]


async def _run(*cells: Cell, **options: Any) -> tuple[list[str], FakeSession, Seen]:
    session, seen = FakeSession(*cells), Seen()
    reports = await run_cells(session, cells, seen, **options)  # type: ignore[arg-type]
    return [report.outcome for report in reports], session, seen


async def test_code_cells_run_in_order_and_the_others_are_passed_over() -> None:
    cells = [*_cells("a"), Cell(id="m", cell_type="markdown"), Cell(id="z", source="b")]
    outcomes, _, seen = await _run(*cells)
    assert outcomes == ["ok", "ok"]
    assert seen.started == [(1, 2), (2, 2)]
    assert [output.text for output in seen.outputs] == ["hi\n", "hi\n"]


async def test_after_a_failure_nothing_more_is_run() -> None:
    outcomes, _, seen = await _run(*_cells("a", "raise", "b", "c"))
    assert outcomes == ["ok", "error", "not_run", "not_run"]
    assert seen.ended == ["ok", "error"]


async def test_a_cell_tagged_raises_exception_may_fail() -> None:
    tagged = Cell(id="t", source="raise", metadata={"tags": ["raises-exception"]})
    outcomes, _, _ = await _run(tagged, *_cells("a"))
    assert outcomes == ["error", "ok"]


async def test_with_allow_errors_every_cell_may_fail() -> None:
    outcomes, _, _ = await _run(*_cells("raise", "raise"), allow_errors=True)
    assert outcomes == ["error", "error"]


async def test_a_dead_kernel_ends_the_run_whatever_is_allowed() -> None:
    outcomes, _, _ = await _run(*_cells("die", "a"), allow_errors=True)
    assert outcomes == ["kernel_died", "not_run"]


async def test_a_cell_that_somebody_cancelled_ends_the_run() -> None:
    outcomes, _, _ = await _run(*_cells("cancel", "a"), allow_errors=True)
    assert outcomes == ["cancelled", "not_run"]


async def test_a_cell_that_runs_too_long_is_interrupted(autojump_clock: trio.abc.Clock) -> None:
    outcomes, session, _ = await _run(*_cells("sleep", "a"), timeout=30)
    assert outcomes == ["timeout", "not_run"]
    assert session.interrupts == 1


async def test_giving_up_on_a_run_interrupts_its_cell(autojump_clock: trio.abc.Clock) -> None:
    session, seen = FakeSession(*_cells("sleep")), Seen()
    with trio.move_on_after(5) as scope:
        await run_cell(session, "c0", seen)  # type: ignore[arg-type]
    assert scope.cancelled_caught
    assert session.interrupts == 1


@pytest.mark.parametrize(
    ("source", "reason"), [("raise", "ValueError: no"), ("die", "exit code 1")]
)
async def test_a_failure_has_its_reason(source: str, reason: str) -> None:
    report = await run_cell(FakeSession(*_cells(source)), "c0", Seen())  # type: ignore[arg-type]
    assert report.reason == reason
    assert report.failed
