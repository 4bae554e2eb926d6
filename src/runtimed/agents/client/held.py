"""A connection that is held from the beginning of an `async with` block to its end.

Under Trio it is opened and closed in the block's own task. Under asyncio there is no such task on
the portal's loop, so that one of its own holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import outcome
import trio

from runtimed.agents.client.transports import ConnectedTransport, PersistentTransport
from runtimed.client.portal import portal

__all__ = ["HeldConnection"]

Leave = Callable[[], Awaitable[None]]


class HeldConnection:
    """Opened once and closed once."""

    def __init__(self, transport: PersistentTransport) -> None:
        self._transport = transport
        self._connection: ConnectedTransport | None = None
        self._context: AbstractAsyncContextManager[ConnectedTransport] | None = None
        self._holder: _Holder | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    @property
    def connection(self) -> ConnectedTransport:
        """The connection, while it is open."""
        assert self._connection is not None
        return self._connection

    def check_loop(self) -> None:
        """Raises: RuntimeError in another event loop than the one it was opened in."""
        if self._token is not None and self._token is not trio.lowlevel.current_trio_token():
            raise RuntimeError("this session was opened in another event loop; use it there")

    async def open(self) -> None:
        """Connect. Raises: OSError; RuntimeError when it was open before."""
        if self._context is not None:
            raise RuntimeError("a session can be entered only once")
        self._context = self._transport.connect()
        if trio.lowlevel.in_trio_task():
            self._token = trio.lowlevel.current_trio_token()
            self._connection = await self._context.__aenter__()
        else:
            holder = self._holder = _Holder(self._context)
            self._connection, self._token = await portal().call_from_asyncio(holder.open)

    async def close(self, error: BaseException | None, leave: Leave) -> None:
        """Leave and disconnect. With an asyncio task that was cancelled, at once.

        Under Trio, a cancelled scope makes that of itself.
        """
        if self._holder is not None:
            at_once = isinstance(error, asyncio.CancelledError)
            await portal().call_from_asyncio(partial(self._holder.close, leave, at_once))
            return
        assert self._context is not None
        try:
            await leave()
        finally:
            # The body's exception isn't shown to it: it is for the caller alone.
            await self._context.__aexit__(None, None, None)


class _Holder:
    """A task on the portal's loop that holds a connection."""

    def __init__(self, context: AbstractAsyncContextManager[ConnectedTransport]) -> None:
        self._context = context
        self._scope = trio.CancelScope()
        self._opened = trio.Event()
        self._leaving = trio.Event()
        self._ended = trio.Event()
        self._result: outcome.Outcome[ConnectedTransport] | None = None

    async def open(self) -> tuple[ConnectedTransport, trio.lowlevel.TrioToken]:
        # A system task: it outlives this call, and `_ended` is what waits for it.
        trio.lowlevel.spawn_system_task(self._hold)
        try:
            await self._opened.wait()
        except trio.Cancelled:
            self._scope.cancel()
            raise
        assert self._result is not None
        return self._result.unwrap(), trio.lowlevel.current_trio_token()

    async def close(self, leave: Leave, at_once: bool) -> None:
        try:
            if at_once:
                self._scope.cancel()
            else:
                await leave()
            self._leaving.set()
            await self._ended.wait()
        finally:
            self._scope.cancel()

    async def _hold(self) -> None:
        try:
            with self._scope:
                async with self._context as connection:
                    self._result = outcome.Value(connection)
                    self._opened.set()
                    await self._leaving.wait()
        except Exception as error:  # for the caller, who waits for the connection
            self._result = outcome.Error(error)
        finally:
            self._opened.set()
            self._ended.set()
