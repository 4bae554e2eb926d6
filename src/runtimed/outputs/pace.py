"""How often what has been shown may be shown anew. A value that is given the time; owns no timer.

What comes seldom is shown at once, however long it goes on. What comes without a pause is shown
less and less often, so that an hour of it costs some thousand publications.
"""

from __future__ import annotations

import math

__all__ = ["Pace"]

_SHORTEST = 0.1
_LONGEST = 1.0
_GROWTH = 1.1


class Pace:
    """The pace of one thing that is shown again and again. Units: seconds."""

    def __init__(self) -> None:
        self._interval = _SHORTEST
        self._last = -math.inf

    def due(self, now: float) -> float:
        """When to show what came just now."""
        return max(now, self._last + self._interval)

    def shown(self, now: float) -> None:
        """It has been shown."""
        pours = now - self._last < 2 * self._interval
        self._interval = min(self._interval * _GROWTH, _LONGEST) if pours else _SHORTEST
        self._last = now
