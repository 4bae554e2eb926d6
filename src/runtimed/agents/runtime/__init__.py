"""The agent runtime: takes requests over WebSockets, and does what they ask inside a sandbox.

A server accepts, a connection reads and writes, a request does its steps; commands, downloads,
artifacts and uploads are what steps are made of. Decisions lie in the pure modules one folder up.
"""

from __future__ import annotations

from runtimed.agents.runtime.connection import RuntimeConnection
from runtimed.agents.runtime.server import RuntimeUseServer
from runtimed.agents.runtime.settings import RuntimeSettings

__all__ = ["RuntimeConnection", "RuntimeSettings", "RuntimeUseServer"]
