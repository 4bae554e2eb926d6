"""The kernel's widgets as a client hears of them. Knows no connection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from runtimed.errors import RuntimedError
from runtimed.messages.comms import Comms
from runtimed.protocol import broadcasts

__all__ = ["WidgetMirror"]

log = logging.getLogger(__name__)


class WidgetMirror:
    """Listens from the first broadcast on, so that its state is the daemon's."""

    def __init__(self) -> None:
        self.comms = Comms()

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if isinstance(broadcast, broadcasts.Comm):
            self.apply(broadcast.msg_type, broadcast.content, broadcast.buffers)
        elif isinstance(broadcast, broadcasts.CommSync):
            try:
                self.comms.restore(broadcast.comms, more=bool(broadcast.continues))
            except ValueError as error:
                log.warning("widgets left out reason=%s", error)

    def apply(self, msg_type: str, content: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        """Take in a message, of others or of this client."""
        try:
            self.comms.apply(msg_type, content, buffers)
        except ValueError as error:
            log.warning("widget state left out reason=%s", error)

    def end(self, error: RuntimedError) -> None:
        self.comms.clear()
