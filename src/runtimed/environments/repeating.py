"""Progress that is told again while nothing new happens, so that whoever hears it knows that the
work goes on: uv says nothing while it downloads, builds or waits for a server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from runtimed.environments.builder import Report
from runtimed.protocol import progress

__all__ = ["REPEAT_AFTER", "repeating"]

#: Seconds of silence after which the last step is told again.
REPEAT_AFTER = 10.0

T = TypeVar("T")


async def repeating(report: Report, work: Callable[[Report], Awaitable[T]]) -> T:
    """Do the work, which tells its steps to what it is given, and tell them to `report`.

    The last step is told again after each REPEAT_AFTER seconds in which there was no other; not
    before the first, and not after Ready or Error.
    Raises: what the work raises, as it is.
    """
    last: progress.Phase | None = None
    due = trio.current_time() + REPEAT_AFTER

    def pass_on(phase: progress.Phase) -> None:
        nonlocal last, due
        last = None if isinstance(phase, progress.Ready | progress.Error) else phase
        due = trio.current_time() + REPEAT_AFTER
        report(phase)

    async def repeat() -> None:
        nonlocal due
        while True:
            await trio.sleep_until(due)
            if trio.current_time() >= due:  # nothing was told meanwhile
                due = trio.current_time() + REPEAT_AFTER
                if last is not None:
                    report(last)

    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(repeat)
        try:
            result = await work(pass_on)
        except Exception as error:  # out of the nursery as it is, and not in a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result
