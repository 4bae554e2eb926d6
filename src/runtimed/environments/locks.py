"""Advisory file locks between processes, and between tasks of one process.

flock(2): held through an open file, so gone when its process is, however that ended. Only who holds
a lock alone may unlink its file: a lock on a file that is no longer there counts for nothing, and
whoever gets one tries again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

__all__ = ["hold_lock", "try_lock"]

_POLL = 0.05


@asynccontextmanager
async def hold_lock(
    path: Path, *, shared: bool = False, taken: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Wait for the lock, looking every 50 ms, and hold it inside the block.

    taken: called each time that somebody else has it.
    """
    while True:
        with try_lock(path, shared=shared) as held:
            if held:
                yield
                return
        if taken is not None:
            taken()
        await trio.sleep(_POLL)


@contextmanager
def try_lock(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Take the lock if that is possible now; the value says whether it was."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                held = False
            else:
                held = _still_there(descriptor, path)
                if not held:  # unlinked since it was opened: the next one has made another file
                    continue
            yield held
            return
        finally:
            os.close(descriptor)


def _still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
