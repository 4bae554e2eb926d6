"""Dialogues with the execution queue: what happened in, what to do out."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtimed.messages.queue import Execution, ExecutionQueue, Finish, Start

A, B, C = (Execution(f"run-{name}", name) for name in "abc")


def ready_queue(*executions: Execution) -> ExecutionQueue:
    queue = ExecutionQueue()
    assert queue.kernel_is_ready() == []
    for execution in executions:
        queue.add(execution)
    return queue


def test_the_first_cell_starts_at_once_and_the_next_when_it_ends() -> None:
    queue = ExecutionQueue()
    queue.kernel_is_ready()
    assert queue.add(A) == [Start(A)]
    assert queue.add(B) == []
    assert queue.ended("run-a", ok=True) == [Finish(A, "ok"), Start(B)]
    assert queue.ended("run-b", ok=True) == [Finish(B, "ok")]


def test_cells_wait_for_a_kernel_that_is_still_starting() -> None:
    queue = ExecutionQueue()
    assert queue.add(A) == []
    assert queue.kernel_is_ready() == [Start(A)]


def test_an_error_aborts_what_is_queued() -> None:
    queue = ready_queue(A, B, C)
    commands = queue.ended("run-a", ok=False)
    assert [(command.execution, command.outcome) for command in commands] == [  # type: ignore[union-attr]
        (A, "error"),
        (B, "aborted"),
        (C, "aborted"),
    ]
    assert len(queue) == 0


def test_an_error_that_may_happen_stops_nothing() -> None:
    queue = ready_queue(A, B)
    assert queue.ended("run-a", ok=False, stop=False) == [Finish(A, "error"), Start(B)]


def test_an_interrupt_cancels_what_waits_and_leaves_what_runs() -> None:
    queue = ready_queue(A, B)
    commands = queue.interrupted()
    assert commands == [Finish(B, "cancelled", "execution was interrupted")]
    assert queue.executing == A


def test_what_is_queued_after_an_interrupt_outlives_the_error_that_the_interrupt_causes() -> None:
    queue = ready_queue(A, B)
    queue.interrupted()
    assert queue.add(C) == []
    assert queue.ended("run-a", ok=False) == [Finish(A, "error"), Start(C)]


def test_a_dead_kernel_ends_everything_and_a_new_one_starts_clean() -> None:
    queue = ready_queue(A, B)
    assert queue.kernel_is_gone("it died") == [
        Finish(A, "kernel_died", "it died"),
        Finish(B, "kernel_died", "it died"),
    ]
    assert queue.add(C) == []
    assert queue.kernel_is_ready() == [Start(C)]


def test_a_deleted_cell_is_passed_over() -> None:
    queue = ready_queue(A, B)
    assert queue.cannot_start("run-a", "gone") == [Finish(A, "aborted", "gone"), Start(B)]


def test_stale_news_are_ignored() -> None:
    queue = ready_queue(A)
    assert queue.ended("run-of-an-earlier-kernel", ok=True) == []
    assert queue.executing == A


def test_a_cell_is_found_while_it_waits_or_runs() -> None:
    queue = ready_queue(A, B)
    assert queue.find("a") == A
    assert queue.find("b") == B
    assert queue.find("c") is None


class QueueMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order: every execution that was added finishes exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ExecutionQueue()
        self.added: list[str] = []
        self.finished: list[str] = []
        self.running: str | None = None
        self.ready = False

    def carry_out(self, commands: list[Start | Finish]) -> None:
        for command in commands:
            if isinstance(command, Start):
                assert self.running is None
                assert self.ready
                self.running = command.execution.id
            else:
                self.finished.append(command.execution.id)
                if command.execution.id == self.running:
                    self.running = None

    @rule(cell=st.sampled_from("abcdef"))
    def add(self, cell: str) -> None:
        if self.queue.find(cell) is None:
            execution = Execution(f"{cell}-{len(self.added)}", cell)
            self.added.append(execution.id)
            self.carry_out(self.queue.add(execution))

    @rule()
    def kernel_comes(self) -> None:
        self.ready = True
        self.carry_out(self.queue.kernel_is_ready())

    @rule()
    def kernel_goes(self) -> None:
        self.ready = False
        self.carry_out(self.queue.kernel_is_gone("gone"))
        assert len(self.queue) == 0

    @rule(ok=st.booleans(), stop=st.booleans())
    def running_ends(self, ok: bool, stop: bool) -> None:
        self.carry_out(self.queue.ended(self.running or "stale", ok=ok, stop=stop))

    @rule()
    def interrupt(self) -> None:
        self.carry_out(self.queue.interrupted())

    @rule()
    def cell_is_gone(self) -> None:
        self.carry_out(self.queue.cannot_start(self.running or "stale", "deleted"))

    @invariant()
    def every_execution_is_waiting_running_or_finished_once(self) -> None:
        waiting = [entry.id for entry in self.queue.queued]
        running = [self.queue.executing.id] if self.queue.executing else []
        assert sorted(waiting + running + self.finished) == sorted(self.added)
        assert running == ([self.running] if self.running else [])


QueueMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestQueueMachine = QueueMachine.TestCase
