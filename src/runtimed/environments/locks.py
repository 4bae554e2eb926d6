"""Advisory file locks between processes, and between tasks of one process.

flock(2): held through an open file, so gone when its process is, however that ended. The lock
files stay behind on purpose; unlinking one would let two holders in.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

__all__ = ["hold_lock", "try_lock"]

_POLL = 0.05


@asynccontextmanager
async def hold_lock(path: Path, *, shared: bool = False) -> AsyncIterator[None]:
    """Wait for the lock, looking every 50 ms, and hold it inside the block."""
    while True:
        with try_lock(path, shared=shared) as held:
            if held:
                yield
                return
        await trio.sleep(_POLL)


@contextmanager
def try_lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Take the lock if that is possible now; the value says whether it was."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
