"""Asynchronous sessions that reach the daemon's rooms without a socket, kernels being pretended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from loopback import Loopback, open_loopback
from runtimed.client import opening
from runtimed.paths import Paths

__all__ = ["open_daemon"]


@asynccontextmanager
async def open_daemon(folder: Path) -> AsyncIterator[Loopback]:
    """The daemon's rooms over a folder; sessions opened inside the block are their peers."""
    async with open_loopback(folder) as loopback:

        async def open_stream(paths: Paths) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return loopback.connect_raw()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opening, "open_stream", open_stream)
            yield loopback
