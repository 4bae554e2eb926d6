"""Where a caller's code runs: its callbacks belong to its own event loop or thread.

The client itself always runs on Trio: in the caller's loop, or on the portal's.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import outcome
import trio

from runtimed.client.portal import portal

__all__ = ["Invoke", "anywhere", "blocking"]

T = TypeVar("T")


class Invoke(Protocol):
    """Calls a callback, which may be plain or async, where it belongs."""

    def __call__(self, callback: Callable[[Any], Any], argument: Any, /) -> Awaitable[Any]: ...


async def anywhere(function: Callable[[Invoke], Awaitable[T]]) -> T:
    """Await a function that needs Trio, under Trio or asyncio, with the way back to the caller."""
    if trio.lowlevel.in_trio_task():
        return await function(_in_place)
    return await portal().call_from_asyncio(functools.partial(function, _OnAsyncio()))


def blocking(function: Callable[[Invoke], Awaitable[T]]) -> T:
    """Run a function that needs Trio and wait for it; plain callbacks run in this thread.

    Async ones run on the portal's Trio, since this thread has no event loop.
    """
    return portal().attend(lambda run_here: function(_InThread(run_here)))


async def _in_place(callback: Callable[[Any], Any], argument: Any, /) -> Any:
    answer = callback(argument)
    return await answer if inspect.isawaitable(answer) else answer


class _OnAsyncio:
    """Callbacks as tasks of the asyncio loop that is running where this is made."""

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()

    async def __call__(self, callback: Callable[[Any], Any], argument: Any, /) -> Any:
        import asyncio

        task: asyncio.Task[Any] | None = None
        result: outcome.Outcome[Any] | None = None
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def run() -> None:
            nonlocal result
            result = await outcome.acapture(_in_place, callback, argument)
            try:
                token.run_sync_soon(done.set)
            except trio.RunFinishedError:
                pass  # the program is ending

        def begin() -> None:
            nonlocal task
            task = self._loop.create_task(run())

        def cancel() -> None:
            if task is not None:
                task.cancel()

        self._loop.call_soon_threadsafe(begin, context=self._context)
        try:
            await done.wait()
        except trio.Cancelled:
            try:
                self._loop.call_soon_threadsafe(cancel)
            except RuntimeError:
                pass  # the loop has closed, and the task with it
            raise
        assert result is not None
        return result.unwrap()


class _InThread:
    """Plain callbacks in the thread that waits for the call."""

    def __init__(self, run_here: Callable[[Callable[[], None]], None]) -> None:
        self._run_here = run_here

    async def __call__(self, callback: Callable[[Any], Any], argument: Any, /) -> Any:
        result: outcome.Outcome[Any] | None = None
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def job() -> None:
            nonlocal result
            result = outcome.capture(callback, argument)
            try:
                token.run_sync_soon(done.set)
            except trio.RunFinishedError:
                pass  # the program is ending

        self._run_here(job)
        await done.wait()
        assert result is not None
        answer = result.unwrap()
        return await answer if inspect.isawaitable(answer) else answer
