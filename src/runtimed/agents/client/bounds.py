"""Several time limits on one piece of work, and which of them ended it."""

from __future__ import annotations

from math import inf

import trio

__all__ = ["Bounds"]


class Bounds:
    """Limits that come and go while the work inside `scope` goes on.

    One scope for all: work that is done step by step by an asynchronous generator can't be put
    under a scope of its own for each step.
    """

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self._ends: dict[str, float] = {}

    def set(self, limit: str, seconds: float | None) -> None:
        """End the work that long from now unless it has ended; None takes the limit away."""
        if seconds is not None:
            self._ends[limit] = trio.current_time() + seconds
        elif self._ends.pop(limit, None) is None:
            return
        self.scope.deadline = min(self._ends.values(), default=inf)

    @property
    def exceeded(self) -> str | None:
        """Which limit ended the work; None if it came to an end of its own."""
        if not self.scope.cancelled_caught:
            return None
        return min(self._ends, key=lambda limit: self._ends[limit])
