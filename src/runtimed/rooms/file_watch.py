"""Watching files that other programs may write: one task and one thread for all rooms.

Looks at each file twice a second, in one call for all: a five-hundredth of a slow core. The usual
library for notifications costs as much, takes a second to stop, has to start again for each further
directory, and hears nothing on network and container file systems.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

__all__ = ["FileWatch", "WatchedFile"]

#: Seconds between two looks, and until the second one at a file that is being changed: it counts as
#: changed once two looks in a row saw it alike.
_INTERVAL = 0.5
_SETTLING = 0.2

_Signature = tuple[int, ...] | None


@attrs.define(eq=False)
class WatchedFile:
    """One file that somebody watches."""

    path: Path
    _seen: _Signature = (-1,)  # like no file's: the first look is news, too
    _reported: _Signature = (-1,)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def wait_changed(self) -> None:
        """Wait until the file is another than it was, or gone, and has been so for a moment."""
        await self._changed.wait()
        self._changed = trio.Event()

    @property
    def settling(self) -> bool:
        """Whether the last look was news that the next one is to confirm."""
        return self._seen != self._reported

    def look(self, signature: _Signature) -> None:
        if signature == self._seen and signature != self._reported:
            self._reported = signature
            self._changed.set()
        self._seen = signature


class FileWatch:
    """All watched files. Signatures tell that a file may be another; what is in it, its reader."""

    def __init__(self, disk: trio.CapacityLimiter) -> None:
        self._disk = disk
        self._files: set[WatchedFile] = set()
        self._wanted = trio.Event()

    @contextmanager
    def watching(self, path: Path) -> Iterator[WatchedFile]:
        """Watch a file as long as the block lasts. It need not exist, nor its directory."""
        file = WatchedFile(path)
        self._files.add(file)
        self._wanted.set()
        try:
            yield file
        finally:
            self._files.discard(file)

    async def run(self) -> None:
        """Look at the files. Runs until cancelled; rests while there are none."""
        while True:
            if not self._files:
                self._wanted = trio.Event()
                await self._wanted.wait()
            files = list(self._files)
            signatures = await trio.to_thread.run_sync(_signatures, files, limiter=self._disk)
            for file, signature in zip(files, signatures, strict=True):
                file.look(signature)
            settling = any(file.settling for file in files)
            await trio.sleep(_SETTLING if settling else _INTERVAL)


def _signatures(files: list[WatchedFile]) -> list[_Signature]:
    return [_signature(file.path) for file in files]


def _signature(path: Path) -> _Signature:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
