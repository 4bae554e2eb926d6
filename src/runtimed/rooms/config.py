"""What rooms are configured with; on its own, so that the daemon can start before rooms load."""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["RoomConfig"]


@attrs.frozen
class RoomConfig:
    """What all rooms share. `keep_alive` is in seconds."""

    documents: Path
    notebooks: Path
    keep_alive: float = 30.0
