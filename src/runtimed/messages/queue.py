"""The execution queue of one room, a pure state machine: what happened in, what to do out.

It knows cells and executions by their ids only. Sources are no business of it: a cell's source is
read when its execution starts, by whoever carries out Start. Every execution that was ever added
gets exactly one Finish.
"""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["Command", "Execution", "ExecutionQueue", "Finish", "Outcome", "Start"]

Outcome = Literal["ok", "error", "aborted", "cancelled", "kernel_died"]


@attrs.frozen
class Execution:
    """One run of a cell, waiting or under way."""

    id: str
    cell_id: str


@attrs.frozen
class Start:
    """Send this execution's source to the kernel."""

    execution: Execution


@attrs.frozen
class Finish:
    """Tell everybody that this execution has ended; `reason` is for people."""

    execution: Execution
    outcome: Outcome
    reason: str | None = None


Command = Start | Finish


class ExecutionQueue:
    """First in, first out; one cell at a time; an error ends what waits behind it."""

    def __init__(self) -> None:
        self._executing: Execution | None = None
        self._queued: dict[str, Execution] = {}  # by cell, first in first
        self._kernel_ready = False
        self._interrupted: str | None = None  # the execution that runs and was interrupted

    def __repr__(self) -> str:
        return f"<ExecutionQueue executing={self._executing} queued={len(self._queued)}>"

    @property
    def executing(self) -> Execution | None:
        return self._executing

    @property
    def queued(self) -> list[Execution]:
        return list(self._queued.values())

    def __len__(self) -> int:
        return len(self._queued) + (self._executing is not None)

    def find(self, cell_id: str) -> Execution | None:
        """The execution of a cell that runs or waits."""
        if self._executing is not None and self._executing.cell_id == cell_id:
            return self._executing
        return self._queued.get(cell_id)

    def add(self, execution: Execution) -> list[Command]:
        """Queue a cell. The caller has looked with `find` first: a cell is never queued twice."""
        assert self.find(execution.cell_id) is None, "a queued cell is not queued again"
        self._queued[execution.cell_id] = execution
        return self._start_next()

    def kernel_is_ready(self) -> list[Command]:
        self._kernel_ready = True
        return self._start_next()

    def kernel_is_gone(self, reason: str) -> list[Command]:
        """The kernel died or was shut down: nothing that waits can run any more."""
        self._kernel_ready = False
        waiting = [*([self._executing] if self._executing else []), *self._queued.values()]
        self._executing = None
        self._queued.clear()
        return [Finish(execution, "kernel_died", reason) for execution in waiting]

    def ended(self, execution_id: str, *, ok: bool, stop: bool = True) -> list[Command]:
        """The running execution has ended; news of any other is stale and ignored.

        With `stop`, an error takes the cells that wait behind it along; not so the error that an
        interrupt causes, for what waits then was queued after the interrupt.
        """
        execution = self._executing
        if execution is None or execution.id != execution_id:
            return []
        self._executing = None
        commands: list[Command] = [Finish(execution, "ok" if ok else "error")]
        if not ok and stop and execution.id != self._interrupted:
            commands += self._drop("aborted", f"cell {execution.cell_id} raised an error")
        return commands + self._start_next()

    def cannot_start(self, execution_id: str, reason: str) -> list[Command]:
        """The execution that Start named has nothing to run, for its cell is gone."""
        execution = self._executing
        if execution is None or execution.id != execution_id:
            return []
        self._executing = None
        return [Finish(execution, "aborted", reason), *self._start_next()]

    def interrupted(self) -> list[Command]:
        """Somebody interrupts: what waits is dropped; the running cell ends by itself."""
        self._interrupted = self._executing.id if self._executing is not None else None
        return self._drop("cancelled", "execution was interrupted")

    def _drop(self, outcome: Outcome, reason: str) -> list[Command]:
        dropped = list(self._queued.values())
        self._queued.clear()
        return [Finish(execution, outcome, reason) for execution in dropped]

    def _start_next(self) -> list[Command]:
        if not self._kernel_ready or self._executing is not None or not self._queued:
            return []
        self._executing = self._queued.pop(next(iter(self._queued)))
        return [Start(self._executing)]
