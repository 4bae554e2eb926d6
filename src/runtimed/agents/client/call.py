"""Calls under way, as those see them who may want to abort them: any task, any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

__all__ = ["Call", "Calls"]


class Call:
    """One call under way. It may not have reached the loop yet that it is to run on."""

    def __init__(self) -> None:
        self.aborted = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._on_abort: Callable[[], None] | None = None

    def abort(self) -> None:
        """Abort it. From any thread, and more than once."""
        self.aborted = True
        token = self._token  # after the flag is set: `begin` looks the other way round
        if token is None:
            return
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is token:
            self._act()
            return
        try:
            token.run_sync_soon(self._act)
        except trio.RunFinishedError:
            pass

    def begin(self, on_abort: Callable[[], None]) -> None:
        """On its loop: from now on an abort calls this."""
        self._on_abort = on_abort
        self._token = trio.lowlevel.current_trio_token()
        if self.aborted:
            self._act()

    def _act(self) -> None:
        if self._on_abort is not None:
            self._on_abort()


class Calls:
    """The calls under way on one client or session."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()

    @contextmanager
    def one_more(self) -> Iterator[Call]:
        """A call that may be aborted while the context lasts."""
        call = Call()
        self._calls.add(call)
        try:
            yield call
        finally:
            self._calls.discard(call)

    def abort(self) -> None:
        """Abort all that are under way now."""
        for call in tuple(self._calls):
            call.abort()
