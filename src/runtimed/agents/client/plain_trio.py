"""What Trio has, with less to it: a nursery that changes no exception, a lock without a turn."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

__all__ = ["open_bare_nursery", "take"]


@asynccontextmanager
async def open_bare_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery for tasks that do not raise. They are cancelled when the body ends.

    What the body raises, Cancelled and GeneratorExit included, comes out as it is and in no group:
    so it may stand in an asynchronous generator.
    """
    problem: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except BaseException as error:
                problem = error
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if group.split(trio.Cancelled)[1] is not None:
            raise
        # Cancelled from outside while it waited for its tasks: once more, without the group.
        if problem is None:
            await trio.lowlevel.checkpoint_if_cancelled()
    if problem is not None:
        raise problem


async def take(lock: trio.Lock) -> None:
    """Acquire a lock, without a turn of the loop when it is free. Those who wait come first."""
    try:
        lock.acquire_nowait()
    except trio.WouldBlock:
        await lock.acquire()
