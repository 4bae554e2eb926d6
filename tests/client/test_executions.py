from __future__ import annotations

import pytest

from runtimed.client.executions import CapturedCell, Ending, Execution
from runtimed.errors import ConnectionLost, RequestFailed
from runtimed.protocol import broadcasts, responses

CELL = CapturedCell(1, ("entry",))


def waiting(*, keep_events: bool = False) -> Execution:
    return Execution("c", lambda: None, lambda: CELL, keep_events=keep_events)


def done(execution_id: str | None, outcome: str | None = "ok", cell: str = "c") -> object:
    return broadcasts.ExecutionDone(cell, execution_id, outcome)


def hear(execution: Execution, *heard: object) -> None:
    for broadcast in heard:
        execution.hear(broadcast)  # type: ignore[arg-type]


def test_it_ends_with_the_done_of_its_own_run() -> None:
    execution = waiting()
    execution.answer(responses.CellQueued("c", "2"))
    hear(execution, done("1"), done("2", cell="other"))
    assert not execution.over
    hear(execution, done("2"))
    assert execution.ending == Ending("ok", None, CELL)


def test_an_end_that_comes_before_the_answer_counts_if_it_is_its_own() -> None:
    execution = waiting()
    hear(execution, done("1"), done("2", "error"))
    execution.answer(responses.CellQueued("c", "2"))
    assert execution.ending == Ending("error", None, CELL)


def test_ends_of_earlier_runs_before_the_answer_do_not_count() -> None:
    execution = waiting()
    hear(execution, done("1"))
    execution.answer(responses.CellQueued("c", "2"))
    assert not execution.over


def test_a_daemon_without_execution_ids_is_understood_by_cell() -> None:
    execution = waiting()
    execution.answer(responses.CellQueued("c"))
    hear(execution, done(None, None))
    assert execution.ending == Ending("ok", None, CELL)


@pytest.mark.parametrize("outcome", ["aborted", "cancelled", "kernel_died"])
def test_a_run_that_did_not_take_place_has_no_cell(outcome: str) -> None:
    execution = waiting()
    execution.answer(responses.CellQueued("c", "1"))
    hear(execution, done("1", outcome))
    assert execution.ending == Ending(outcome, None, None)


def test_a_dead_kernel_ends_what_was_queued_on_it() -> None:
    execution = waiting()
    hear(execution, broadcasts.KernelError("before"))
    execution.answer(responses.CellQueued("c", "1"))
    assert not execution.over
    hear(execution, broadcasts.KernelError("boom"))
    assert execution.ending == Ending("kernel_died", "boom", None)


def test_refusals_end_it() -> None:
    execution = waiting()
    execution.answer(responses.NoKernel())
    assert execution.no_kernel
    assert execution.over
    execution = waiting()
    execution.answer(responses.Error("Failed to queue cell: no"))
    assert isinstance(execution.failure, RequestFailed)
    execution = waiting()
    execution.answer(responses.Ok())
    assert str(execution.failure).startswith("Protocol error")


def test_a_lost_connection_ends_it_unless_it_has_ended() -> None:
    execution = waiting()
    execution.end(ConnectionLost())
    assert isinstance(execution.failure, ConnectionLost)
    execution = waiting()
    execution.answer(responses.CellQueued("c", "1"))
    hear(execution, done("1"))
    execution.end(ConnectionLost())
    assert execution.failure is None


def test_events_are_kept_on_request_and_only_its_own() -> None:
    execution = waiting(keep_events=True)
    old = broadcasts.Output("c", "stream", "h0", 0, "1")
    started = broadcasts.ExecutionStarted("c", 1, "2")
    output = broadcasts.Output("c", "stream", "h1", 0, "2")
    hear(execution, old, started)
    execution.answer(responses.CellQueued("c", "2"))
    hear(execution, output, broadcasts.QueueChanged(None, ()), done("2"))
    assert execution.events == [started, output]
