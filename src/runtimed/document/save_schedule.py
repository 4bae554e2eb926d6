"""When unsaved changes are due: after a quiet moment, and never too long after the first."""

from __future__ import annotations

import math

__all__ = ["SaveSchedule"]


class SaveSchedule:
    """When unsaved changes are due. Owns no timer: the caller passes the time, in seconds."""

    def __init__(self, quiet: float, longest: float) -> None:
        self._quiet = quiet
        self._longest = longest
        self._first = math.inf
        self._last = -math.inf

    def changed(self, now: float) -> None:
        self._first = min(self._first, now)
        self._last = now

    def saved(self) -> None:
        self._first, self._last = math.inf, -math.inf

    def due(self) -> float:
        """When to save; infinity while nothing is unsaved."""
        if self._first == math.inf:
            return math.inf
        return min(self._last + self._quiet, self._first + self._longest)
