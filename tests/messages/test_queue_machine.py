"""The execution queue against a model of a few lines, in whatever order things happen."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtimed.messages.queue import Command, Execution, ExecutionQueue, Finish, Start

CELLS = st.sampled_from("abcdef")


class QueueMachine(RuleBasedStateMachine):
    """What is added, ends, dies, is interrupted or deleted, and what the queue has to say to it."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ExecutionQueue()
        self.ids = (f"execution-{n}" for n in itertools.count())
        self.deleted: set[str] = set()
        # What the commands said.
        self.started: Execution | None = None
        self.finished: list[tuple[Execution, str]] = []
        # The model.
        self.ready = False
        self.running: Execution | None = None
        self.waiting: list[Execution] = []
        self.ended: list[tuple[Execution, str]] = []
        self.spared: Execution | None = None  # an interrupted one, whose error stops nothing

    def carry_out(self, commands: list[Command]) -> None:
        """Do what a room does with the commands."""
        for command in commands:
            if isinstance(command, Start):
                assert self.started is None, "two cells at once"
                self.started = command.execution
            else:
                assert isinstance(command, Finish)
                assert command.execution not in [execution for execution, _ in self.finished]
                self.finished.append((command.execution, command.outcome))
                if command.execution == self.started:
                    self.started = None
        if self.started is not None and self.started.cell_id in self.deleted:
            self.carry_out(self.queue.cannot_start(self.started.id, "the cell was deleted"))

    def model_goes_on(self) -> None:
        while self.ready and self.running is None and self.waiting:
            first = self.waiting.pop(0)
            if first.cell_id in self.deleted:
                self.ended.append((first, "aborted"))
            else:
                self.running = first

    def model_drops(self, outcome: str) -> None:
        self.ended += [(execution, outcome) for execution in self.waiting]
        self.waiting.clear()

    @rule(cell=CELLS)
    def add(self, cell: str) -> None:
        known = [e for e in (self.running, *self.waiting) if e is not None and e.cell_id == cell]
        assert self.queue.find(cell) == (known[0] if known else None)
        if not known:
            execution = Execution(next(self.ids), cell)
            self.waiting.append(execution)
            self.model_goes_on()
            self.carry_out(self.queue.add(execution))

    @rule()
    def kernel_is_ready(self) -> None:
        self.ready = True
        self.model_goes_on()
        self.carry_out(self.queue.kernel_is_ready())

    @rule()
    def kernel_is_gone(self) -> None:
        self.ready = False
        if self.running is not None:
            self.ended.append((self.running, "kernel_died"))
        self.running = None
        self.model_drops("kernel_died")
        self.carry_out(self.queue.kernel_is_gone("gone"))

    @precondition(lambda self: self.running is not None)
    @rule(ok=st.booleans(), stop=st.booleans())
    def running_cell_ends(self, ok: bool, stop: bool) -> None:
        execution = self.running
        assert execution is not None
        self.running = None
        self.ended.append((execution, "ok" if ok else "error"))
        if not ok and stop and execution != self.spared:
            self.model_drops("aborted")
        self.model_goes_on()
        self.carry_out(self.queue.ended(execution.id, ok=ok, stop=stop))

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), ok=st.booleans())
    def stale_news_arrives(self, data: st.DataObject, ok: bool) -> None:
        execution, _ = data.draw(st.sampled_from(self.ended))
        assert self.queue.ended(execution.id, ok=ok) == []
        assert self.queue.cannot_start(execution.id, "late") == []

    @rule()
    def interrupt(self) -> None:
        self.spared = self.running
        self.model_drops("cancelled")
        self.carry_out(self.queue.interrupted())

    @rule(cell=CELLS)
    def delete_waiting_cell(self, cell: str) -> None:
        if self.running is None or self.running.cell_id != cell:
            self.deleted.add(cell)

    @rule(cell=CELLS)
    def make_cell_again(self, cell: str) -> None:
        self.deleted.discard(cell)

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.queue.executing == self.started == self.running
        assert self.queue.queued == self.waiting
        assert self.finished == self.ended
        assert len(self.queue) == len(self.waiting) + (self.running is not None)

    def teardown(self) -> None:
        """When the kernel goes at last, nothing is left without an outcome."""
        self.kernel_is_gone()
        assert not len(self.queue)
        numbers = sorted(int(execution.id.rpartition("-")[2]) for execution, _ in self.finished)
        assert numbers == list(range(len(numbers)))
        assert next(self.ids) == f"execution-{len(numbers)}"


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
