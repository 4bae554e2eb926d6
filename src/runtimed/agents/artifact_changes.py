"""Which files of the watched folders are to be announced: new or changed, and at rest.

Pure: it is told what a look at the folders has found, and when.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["ArtifactChanges", "Look"]


@attrs.frozen
class Look:
    """What a file was like when it was looked at: equal looks mean that nothing has changed."""

    size: int
    mtime_ns: int
    inode: int


@attrs.define
class _Unsettled:
    look: Look
    since: float


class ArtifactChanges:
    """Remembers what was announced, and since when each other file is as it is. Times in seconds.

    A file is announced once for each state in which it came to rest.
    """

    def __init__(self) -> None:
        self._announced: dict[str, Look] = {}
        self._unsettled: dict[str, _Unsettled] = {}

    def seen(self, files: Mapping[str, Look], now: float) -> None:
        """Take in all the files that there are."""
        for path, look in files.items():
            if self._announced.get(path) == look:
                self._unsettled.pop(path, None)
                continue
            before = self._unsettled.get(path)
            if before is None or before.look != look:
                self._unsettled[path] = _Unsettled(look, now)
        for known in (self._announced, self._unsettled):
            for path in known.keys() - files.keys():
                del known[path]  # deleted: nobody is told, and it may come again

    def settled(self, now: float, quiet: float) -> list[str]:
        """The files that have not changed for so long; they count as announced from now on."""
        found = sorted(p for p, each in self._unsettled.items() if now - each.since >= quiet)
        for path in found:
            self._announced[path] = self._unsettled.pop(path).look
        return found

    @property
    def at_rest(self) -> bool:
        """Whether every file that was seen has been announced."""
        return not self._unsettled
