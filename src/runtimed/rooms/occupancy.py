"""Whether anybody is in a room, and for how long nobody has been."""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

__all__ = ["Occupancy"]

#: Seconds after which an unused room asks again how long it is to be kept.
_LOOK_AGAIN = 60.0


class Occupancy:
    """Watches a collection of peers, whose owner says when it has changed."""

    def __init__(self, peers: Collection[object], keep_alive: Callable[[], float]) -> None:
        self._peers = peers
        self._keep_alive = keep_alive
        self._changed = trio.Event()

    def changed(self) -> None:
        """Somebody has come or gone."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait_unused(self) -> None:
        """Wait until nobody has been there for the keep-alive time, which may change meanwhile."""
        while True:
            while self._peers:
                await self._changed.wait()
            if await self._stays_unused():
                return

    async def _stays_unused(self) -> bool:
        since = trio.current_time()
        while (left := since + self._keep_alive() - trio.current_time()) > 0:
            with trio.move_on_after(min(left, _LOOK_AGAIN)) as patience:
                await self._changed.wait()
            if not patience.cancelled_caught:
                return False
        return not self._peers
