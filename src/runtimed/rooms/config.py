"""What rooms are configured with; on its own, so that the daemon can start before rooms load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from runtimed.document.history import HistoryBounds
from runtimed.document.settings_values import Settings
from runtimed.environments.trust.files import TrustFiles

__all__ = ["RoomConfig"]


@attrs.frozen
class RoomConfig:
    """What all rooms share. `settings` gives the user's settings as they are at the moment.

    `fixed_keep_alive`, in seconds, is what the daemon was started with; it wins over the setting.
    """

    documents: Path
    notebooks: Path
    fixed_keep_alive: float | None = None
    settings: Callable[[], Settings] = Settings
    history: HistoryBounds = attrs.field(factory=HistoryBounds)
    trust: TrustFiles = attrs.field(kw_only=True)

    @property
    def keep_alive(self) -> float:
        """Seconds that a room stays without peers."""
        if self.fixed_keep_alive is not None:
            return self.fixed_keep_alive
        return self.settings().keep_alive_secs
