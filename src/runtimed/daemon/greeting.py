"""What a notebook connection is told at its beginning, in the shape its handshake expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from runtimed.document.settings_values import Settings
from runtimed.protocol import handshake

__all__ = ["Greeting"]


@attrs.frozen
class Greeting:
    """What every notebook connection is told at its beginning."""

    daemon_version: str
    blob_port: int
    blob_root: str
    settings: Callable[[], Settings] = Settings

    def capabilities(self) -> handshake.ProtocolCapabilities:
        return handshake.ProtocolCapabilities(
            daemon_version=self.daemon_version,
            blob_port=self.blob_port,
            blob_root=self.blob_root,
            settings=self.settings().as_dict(),
        )

    def refusal(self, hello: Any, error: str) -> Any:
        """The reply to a handshake that gets no room, in the shape that this handshake expects."""
        if isinstance(hello, handshake.NotebookSync):
            return attrs.evolve(self.capabilities(), error=error)
        return self.connected("", 0, False, error=error)

    def connected(
        self,
        notebook_id: str,
        cell_count: int,
        needs_trust_approval: bool,
        error: str | None = None,
    ) -> handshake.NotebookConnectionInfo:
        return handshake.NotebookConnectionInfo(
            daemon_version=self.daemon_version,
            notebook_id=notebook_id,
            cell_count=cell_count,
            needs_trust_approval=needs_trust_approval,
            error=error,
            blob_port=self.blob_port,
            blob_root=self.blob_root,
            settings=self.settings().as_dict(),
        )
