"""One run of a cell, as somebody who waits for its end sees it.

A state machine without I/O: the answer to the request and the broadcasts go in, in the order of the
wire. It is made before the request is sent, so nothing that matters can go by unheard.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from runtimed.errors import RequestFailed, RuntimedError
from runtimed.protocol import broadcasts, responses

__all__ = ["CapturedCell", "Ending", "Execution"]


@attrs.frozen
class CapturedCell:
    """What the document holds of a cell at the end of its run."""

    execution_count: int | None
    outputs: tuple[str, ...]


@attrs.frozen
class Ending:
    """How a run ended.

    Shape: `outcome` is `ok`, `error`, `aborted`, `cancelled` or `kernel_died`; `cell` is set for
    the first two where the document was complete at that moment.
    """

    outcome: str
    reason: str | None = None
    cell: CapturedCell | None = None


class Execution:
    """Waits for the end of one run of `cell_id`.

    `changed` is called when the request was answered, when the run ended and, with `keep_events`,
    for each of its broadcasts. `capture` reads the cell right when the run ends, before anything
    that came later is applied; it gives None while the document lacks something.
    """

    def __init__(
        self,
        cell_id: str,
        changed: Callable[[], None],
        capture: Callable[[], CapturedCell | None],
        *,
        keep_events: bool = False,
    ) -> None:
        self.cell_id = cell_id
        self.execution_id: str | None = None
        self.answered = False
        self.no_kernel = False
        self.busy: responses.QueueState | None = None
        self.failure: RuntimedError | None = None
        self.ending: Ending | None = None
        self.events: list[broadcasts.NotebookBroadcast] = []
        self._changed = changed
        self._capture = capture
        self._keep_events = keep_events
        self._early: list[broadcasts.NotebookBroadcast] = []

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return (
            self.ending is not None
            or self.no_kernel
            or self.busy is not None
            or self.failure is not None
        )

    def answer(self, response: responses.NotebookResponse | RuntimedError) -> None:
        """Take in the answer to the request that queues the cell."""
        self.answered = True
        early, self._early = self._early, []
        if isinstance(response, RuntimedError):
            self.failure = response
        elif isinstance(response, responses.CellQueued):
            self.execution_id = response.execution_id
            for broadcast in early:
                self.hear(broadcast)
        elif isinstance(response, responses.NoKernel):
            self.no_kernel = True
        elif isinstance(response, responses.QueueState):
            self.busy = response
        elif isinstance(response, responses.Error):
            self.failure = RequestFailed(response.error)
        else:
            name = type(response).__name__
            self.failure = RuntimedError(
                f"Protocol error: the daemon answered {name} to an execution"
            )
        self._changed()

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        """Take in a broadcast; those of other cells and other runs are ignored."""
        if self.over:
            return
        if isinstance(broadcast, broadcasts.KernelError):
            if self.answered:
                self._end(Ending("kernel_died", broadcast.error))
            return
        if isinstance(broadcast, broadcasts.ExecutionDone):
            if self._is_mine(broadcast):
                outcome = broadcast.outcome or "ok"
                cell = self._capture() if outcome in ("ok", "error") else None
                self._end(Ending(outcome, broadcast.reason, cell))
            return
        if (
            self._keep_events
            and isinstance(
                broadcast,
                (broadcasts.ExecutionStarted, broadcasts.Output, broadcasts.InputRequest),
            )
            and self._is_mine(broadcast)
        ):
            self.events.append(broadcast)
            self._changed()

    def end(self, error: RuntimedError) -> None:
        """The connection has ended, and the waiting with it."""
        if not self.over:
            self.failure = error
            self._changed()

    def _end(self, ending: Ending) -> None:
        self.ending = ending
        self._changed()

    def _is_mine(
        self,
        broadcast: broadcasts.ExecutionDone
        | broadcasts.ExecutionStarted
        | broadcasts.Output
        | broadcasts.InputRequest,
    ) -> bool:
        if broadcast.cell_id != self.cell_id:
            return False
        if not self.answered:
            # Ours or that of an earlier run: the answer will tell.
            self._early.append(broadcast)
            return False
        # A daemon that gives executions no ids can only be understood by cell.
        mine = self.execution_id
        return mine is None or broadcast.execution_id is None or broadcast.execution_id == mine
