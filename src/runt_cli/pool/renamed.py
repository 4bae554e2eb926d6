"""The commands of `runt pool` that are those of `runt daemon`."""

from __future__ import annotations

from runt_cli.daemon.flush import flush
from runt_cli.daemon.ping import ping
from runt_cli.daemon.shutdown import shutdown

__all__ = ["flush", "ping", "shutdown"]
