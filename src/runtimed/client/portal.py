"""The background thread on which Trio runs for callers that have no Trio of their own.

Blocking callers wait for a call made here; asyncio callers await one. Started by the first call,
made anew in a forked child, and never what keeps an interpreter alive.
"""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

import outcome
import trio

__all__ = ["Portal", "look_up", "on_trio", "portal"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")

#: How long an exiting interpreter waits for connections to be closed properly, in seconds.
_EXIT_GRACE = 1.0


class _Call:
    """One call under way on the portal's loop; its caller may give up on it from any thread.

    A value that comes too late for a caller who gave up goes to `hand_back`, on the portal's loop.
    """

    def __init__(
        self,
        function: Callable[[], Awaitable[Any]],
        deliver: Callable[[outcome.Outcome[Any]], None],
        hand_back: Callable[[Any], None] | None = None,
    ) -> None:
        self._function = function
        self._deliver = deliver
        self._hand_back = hand_back
        self._given_up = False
        self._result: outcome.Outcome[Any] | None = None
        self._scope: trio.CancelScope | None = None

    async def run(self) -> None:
        with trio.CancelScope() as self._scope:
            if self._given_up:
                return
            self._result = result = await outcome.acapture(self._function)
            if self._given_up:
                self._return_result()
            self._deliver(result)
            if isinstance(result, outcome.Error) and isinstance(result.error, trio.Cancelled):
                raise result.error

    def refuse(self, error: Exception) -> None:
        """Answer with an error without having run anything."""
        self._deliver(outcome.Error(error))

    def give_up(self) -> None:
        """Cancel what is still running. To be called on the portal's loop, once."""
        self._given_up = True
        if self._result is not None:
            self._return_result()
        elif self._scope is not None:
            self._scope.cancel()

    def _return_result(self) -> None:
        if self._hand_back is not None and isinstance(self._result, outcome.Value):
            self._hand_back(self._result.value)


class Portal:
    """A thread that runs Trio, and the ways in."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._calls: trio.Nursery | None = None

    def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an async function on the portal's loop and wait for its result in this thread.

        May be called from any thread, also one in which another event loop is running (which then
        stands still). KeyboardInterrupt ends the wait at once and cancels the call.

        Raises: whatever the function raises; RuntimeError on the portal's own thread.
        """
        return self.take(functools.partial(function, *args, **kwargs))

    def take(
        self, function: Callable[[], Awaitable[T]], hand_back: Callable[[T], None] | None = None
    ) -> T:
        """Like `call`. A value that an interrupt kept from the caller goes to `hand_back`."""
        return self._wait_for(function, SimpleQueue(), hand_back)

    def attend(self, function: Callable[[Callable[[Callable[[], None]], None]], Awaitable[T]]) -> T:
        """Like `call`. What the function is given runs things in this thread while it waits."""
        inbox: SimpleQueue[outcome.Outcome[T] | Callable[[], None]] = SimpleQueue()
        return self._wait_for(functools.partial(function, inbox.put), inbox)

    def _wait_for(
        self,
        function: Callable[[], Awaitable[T]],
        inbox: SimpleQueue[outcome.Outcome[T] | Callable[[], None]],
        hand_back: Callable[[T], None] | None = None,
    ) -> T:
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "a blocking call was made on the thread that would have to answer it"
            )
        call = _Call(function, inbox.put, hand_back)
        try:
            self._submit(call)
            while callable(result := inbox.get()):
                result()
        except BaseException:
            self._give_up(call)
            raise
        return result.unwrap()

    async def call_from_asyncio(
        self, function: Callable[[], Awaitable[T]], hand_back: Callable[[T], None] | None = None
    ) -> T:
        """Run an async function on the portal's loop and await its result in asyncio.

        Cancelling: the call is cancelled too, but nobody waits until it has noticed. A value that
        it has by then goes to `hand_back`.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[outcome.Outcome[T]] = loop.create_future()

        def set_result(result: outcome.Outcome[T]) -> None:
            if not future.done():
                future.set_result(result)

        def deliver(result: outcome.Outcome[T]) -> None:
            try:
                loop.call_soon_threadsafe(set_result, result)
            except RuntimeError:
                pass  # the caller's loop has closed meanwhile; nobody is left to tell

        call = _Call(function, deliver, hand_back)
        self._submit(call)
        try:
            result = await future
        except BaseException:
            self._give_up(call)
            raise
        return result.unwrap()

    def stop(self) -> None:
        """End the loop and everything on it. Nothing happens when it isn't running."""
        thread, token, calls = self._thread, self._token, self._calls
        if thread is None or token is None or calls is None or not thread.is_alive():
            return
        try:
            token.run_sync_soon(calls.cancel_scope.cancel)
        except trio.RunFinishedError:
            return
        thread.join(_EXIT_GRACE)

    def _submit(self, call: _Call) -> None:
        while True:
            token = self._running_token()
            try:
                token.run_sync_soon(self._start_call, call)
                return
            except trio.RunFinishedError:
                self._token = None  # stopped between the look and the call: start it again

    def _start_call(self, call: _Call) -> None:
        assert self._calls is not None
        try:
            self._calls.start_soon(call.run)
        except RuntimeError as error:  # the interpreter is exiting, the nursery already closed
            call.refuse(error)

    def _give_up(self, call: _Call) -> None:
        token = self._token
        if token is not None:
            try:
                token.run_sync_soon(call.give_up)
            except trio.RunFinishedError:
                pass

    def _running_token(self) -> trio.lowlevel.TrioToken:
        token = self._token
        if token is not None:
            return token
        with self._starting:
            if self._token is None and (self._thread is None or self._ready.is_set()):
                self._ready = threading.Event()
                self._thread = threading.Thread(
                    target=trio.run, args=(self._main,), name="runtimed portal", daemon=True
                )
                self._thread.start()
            # An interrupt here leaves a thread that the next caller finds and waits for.
            self._ready.wait()
            assert self._token is not None
            return self._token

    async def _main(self) -> None:
        async with trio.open_nursery() as self._calls:
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await trio.sleep_forever()


_portal = Portal()


def portal() -> Portal:
    """The portal of this process."""
    return _portal


def _forget_after_fork() -> None:
    global _portal
    _portal = Portal()  # the old one's thread exists only in the parent


def _stop_at_exit() -> None:
    _portal.stop()


os.register_at_fork(after_in_child=_forget_after_fork)
atexit.register(_stop_at_exit)


async def look_up() -> None:
    """Give a Trio loop its turn, so that a program may look at a state until it changes.

    Under asyncio the state changes on the portal's loop, and nothing has to be done.
    """
    if trio.lowlevel.in_trio_task():
        await trio.lowlevel.checkpoint()


def on_trio(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[object, None, T]]:
    """Make a coroutine method that needs Trio usable from asyncio too.

    Under Trio it runs where it is awaited. Anywhere else it runs on the portal's loop. Its type
    says nothing of Any, before which a type checker gives up on `asyncio.gather`.
    """

    async def wherever(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if trio.lowlevel.in_trio_task():
            return await method(self, *args, **kwargs)
        return await _portal.call_from_asyncio(functools.partial(method, self, *args, **kwargs))

    functools.update_wrapper(wherever, method)
    return wherever
