"""Runs an async function so that Ctrl-C cancels it, once and in an orderly way."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

__all__ = ["run_interruptible"]

T = TypeVar("T")


def run_interruptible(function: Callable[[], Awaitable[T]]) -> T:
    """Run an async function on Trio; Ctrl-C cancels it, so that what it opened is closed.

    Cancelling at a signal, rather than raising wherever the program happens to be, leaves every
    `async with` the time to close: the running cell is interrupted and the kernel stopped.

    Raises: KeyboardInterrupt after Ctrl-C.
    """
    results: list[T] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(_cancel_on_interrupt, nursery.cancel_scope)
            results.append(await function())
            nursery.cancel_scope.cancel()

    trio.run(main)
    if not results:
        raise KeyboardInterrupt
    return results[0]


async def _cancel_on_interrupt(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Runs until cancelled, which it does itself at the first Ctrl-C; a second one then kills."""
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
