"""The calls of a session, and how to cancel one at any of its steps.

Most are written so that they fit both kinds of session; `COMPOSED` are asynchronous programs of
several calls each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import trio

from runtimed import AsyncSession

__all__ = ["CALLS", "COMPOSED", "STATES", "CancelAt", "When", "each_step"]

When = Literal["before", "after"]


class CancelAt(trio.abc.Instrument):
    """Cancels one task's scope before or after its n-th step; the step that begins a call is 0."""

    def __init__(self, n: int, when: When) -> None:
        self.steps = 0
        self._n = n
        self._when = when
        self._task: trio.lowlevel.Task | None = None
        self._scope = trio.CancelScope()

    @property
    def cut(self) -> bool:
        """Whether the call was cut short."""
        return self._scope.cancelled_caught

    @property
    def got_through(self) -> bool:
        """Whether the call had ended before it was to be cancelled."""
        return self.steps < self._n or (self._when == "after" and self.steps == self._n)

    async def run(self, call: Callable[[], Awaitable[object]]) -> None:
        """Make a call and cancel it."""
        trio.lowlevel.add_instrument(self)
        try:
            with self._scope:
                self._task = trio.lowlevel.current_task()
                if self._n == 0 and self._when == "before":
                    self._scope.cancel()
                await call()
        finally:
            self._task = None
            trio.lowlevel.remove_instrument(self)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.steps += 1
            if self._when == "before" and self.steps == self._n:
                self._scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task and self._when == "after" and self.steps == self._n:
            self._scope.cancel()


async def each_step(when: When) -> AsyncIterator[CancelAt]:
    """One cancellation after the other, each a step later, until one comes too late."""
    for n in range(200):
        cancel = CancelAt(n, when)
        yield cancel
        if cancel.got_through:
            return
    raise AssertionError("the call never gets through")


#: By the method's name, what is called with a session and a cell.
CALLS: dict[str, Callable[[Any, str], Any]] = {
    "connect": lambda s, c: s.connect(),
    "start_kernel": lambda s, c: s.start_kernel(),
    "shutdown_kernel": lambda s, c: s.shutdown_kernel(),
    "restart_kernel": lambda s, c: s.restart_kernel(),
    "interrupt": lambda s, c: s.interrupt(),
    "create_cell": lambda s, c: s.create_cell("x"),
    "set_source": lambda s, c: s.set_source(c, "print other"),
    "append_source": lambda s, c: s.append_source(c, "more"),
    "set_cell_type": lambda s, c: s.set_cell_type(c, "raw"),
    "get_cell": lambda s, c: s.get_cell(c),
    "get_cells": lambda s, c: s.get_cells(),
    "clear_outputs": lambda s, c: s.clear_outputs(c),
    "save": lambda s, c: s.save(f"/nonexistent/{c}.ipynb"),
    "clone_notebook": lambda s, c: s.clone_notebook(f"/nonexistent/{c}.ipynb"),
    "execute_cell": lambda s, c: s.execute_cell(c),
    "run": lambda s, c: s.run("print x"),
    "queue_cell": lambda s, c: s.queue_cell(c),
    "run_all_cells": lambda s, c: s.run_all_cells(),
    "complete": lambda s, c: s.complete("pr", 2),
    "get_history": lambda s, c: s.get_history(),
    "get_queue_state": lambda s, c: s.get_queue_state(),
    "sync_environment": lambda s, c: s.sync_environment(),
    "trust_info": lambda s, c: s.trust_info(),
    "approve_trust": lambda s, c: s.approve_trust(),
    "set_metadata": lambda s, c: s.set_metadata("k", "v"),
    "get_metadata": lambda s, c: s.get_metadata("k"),
    "set_kernelspec": lambda s, c: s.set_kernelspec("python3", "Python 3"),
    "get_kernelspec": lambda s, c: s.get_kernelspec(),
    "get_cell_metadata": lambda s, c: s.get_cell_metadata(c),
    "set_cell_metadata": lambda s, c: s.set_cell_metadata(c, "{}"),
    "update_cell_metadata_at": lambda s, c: s.update_cell_metadata_at(c, ["a", "b"], "1"),
    "set_cell_source_hidden": lambda s, c: s.set_cell_source_hidden(c, True),
    "set_cell_outputs_hidden": lambda s, c: s.set_cell_outputs_hidden(c, True),
    "set_cell_tags": lambda s, c: s.set_cell_tags(c, ["t"]),
    "get_uv_dependencies": lambda s, c: s.get_uv_dependencies(),
    "add_uv_dependency": lambda s, c: s.add_uv_dependency("a"),
    "remove_uv_dependency": lambda s, c: s.remove_uv_dependency("a"),
    "get_conda_dependencies": lambda s, c: s.get_conda_dependencies(),
    "add_conda_dependency": lambda s, c: s.add_conda_dependency("a"),
    "remove_conda_dependency": lambda s, c: s.remove_conda_dependency("a"),
    "get_metadata_env_type": lambda s, c: s.get_metadata_env_type(),
    "set_cursor": lambda s, c: s.set_cursor(c, 0, 0),
    "set_selection": lambda s, c: s.set_selection(c, 0, 0, 0, 1),
    "set_input_handler": lambda s, c: s.set_input_handler(str),
    "allow_input": lambda s, c: s.allow_input(),
    "answer_input": lambda s, c: s.answer_input("unknown", "x"),
    "get_comms": lambda s, c: s.get_comms(),
    "send_comm": lambda s, c: s.send_comm("unknown", {"value": 1}),
    "get_peers": lambda s, c: s.get_peers(),
    "get_remote_cursors": lambda s, c: s.get_remote_cursors(),
}

#: Properties of a blocking session.
STATES: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    "is_connected": lambda s, c: s.is_connected(),
    "kernel_started": lambda s, c: s.kernel_started(),
    "kernel_type": lambda s, c: s.kernel_type(),
    "env_source": lambda s, c: s.env_source(),
    "connection_info": lambda s, c: s.connection_info(),
}


async def follow(session: AsyncSession, cell_id: str) -> list[Any]:
    return [event async for event in await session.stream_execute(cell_id)]


async def subscribe(session: AsyncSession, cell_id: str) -> None:
    events = session.subscribe()
    try:
        await session.queue_cell(cell_id)
        await anext(events)
    finally:
        with trio.CancelScope(shield=True):
            await events.close()


async def move(session: AsyncSession, cell_id: str) -> None:
    await session.move_cell(await session.create_cell("x"), cell_id)


async def delete(session: AsyncSession, cell_id: str) -> None:
    await session.delete_cell(await session.create_cell("x"))


COMPOSED: dict[str, Callable[[AsyncSession, str], Awaitable[Any]]] = {
    "delete_cell": delete,
    "move_cell": move,
    "stream_execute": follow,
    "subscribe": subscribe,
}
