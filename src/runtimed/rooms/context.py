"""Which room a task works for: bound where a task enters the room, inherited by what it starts.

The log puts it on every line, those of the services below included, which know no rooms.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["current_room"]

#: The id of the room that the running task works for; None outside of any.
current_room: ContextVar[str | None] = ContextVar("current_room", default=None)
