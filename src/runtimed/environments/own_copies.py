"""Copies of cached environments, one for each kernel.

A kernel is free to change what it runs in: packages are installed into it while it runs, by the
daemon or by whoever uses it (`%uv pip install`). So each gets a copy made of hard links, and the
cached environment stays what its name says. After a copy has been given out another one is made, so
that the next kernel need not wait for it; and of what most builds begin with one is always there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.cache import EnvironmentCache, Lease
from runtimed.environments.wanted import Packages
from runtimed.errors import RuntimedError
from runtimed.protocol import progress

__all__ = ["OwnCopies"]

log = logging.getLogger(__name__)

#: Seconds between a use and the next copy: the kernel that has just begun needs the disk more; and
#: from the start to the first one.
_QUIET = 2.0
_SETTLE = 10.0


class OwnCopies:
    """Gives out copies of what is in a cache. At most `spares` of them wait for the next kernel.

    beginnings: what the cache's builds begin with; it is built, and copied ahead for them.
    """

    def __init__(
        self, cache: EnvironmentCache, *, spares: int = 3, beginnings: Sequence[Packages] = ()
    ) -> None:
        self._cache = cache
        self._most = spares
        self._beginnings = tuple(beginnings)
        self._spares: dict[Path, Lease] = {}  # by what they are a copy of, the latest used last
        self._kept: dict[int, Path] = {}  # where each of the beginnings is
        self._used: dict[Path, Packages] = {}
        self._wake = trio.Event()
        cache.copy_ahead = self._pop

    async def take(self, wanted: Packages, report: Report) -> Lease:
        """A copy of the environment that is wanted, which is built unless it is there.

        To be released when its kernel has ended; it is removed then.
        report: as with EnvironmentCache.lease.
        Raises: EnvironmentBuildFailed and other RuntimedErrors that name the remedy.
        """
        shared = await self._cache.lease(wanted, _without_ready(report))
        try:
            own = self._pop(shared.path) or await self._cache.own_copy(shared)
            if self._most > 0:
                self._used[shared.path] = wanted
        except RuntimedError as error:
            report(progress.Error(message=str(error)))
            raise
        finally:
            shared.release()
        report(progress.Ready(env_path=str(own.path), python_path=str(own.python)))
        return own

    async def run(
        self, *, task_status: trio.TaskStatus[OwnCopies] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Make copies ahead. Runs until cancelled; those that nobody took are then given up."""
        task_status.started(self)
        try:
            with trio.move_on_after(_SETTLE):
                await self._wake.wait()
                await trio.sleep(_QUIET)
            while True:
                self._wake = trio.Event()
                while self._used:
                    _, wanted = self._used.popitem()
                    await self._make_spare(wanted)
                for number, wanted in enumerate(self._beginnings):
                    await self._make_spare(wanted, keep=number)
                await self._wake.wait()
                await trio.sleep(_QUIET)
        finally:
            for spare in self._spares.values():
                spare.release()
            self._spares.clear()

    def _keep(self, number: int, path: Path) -> None:
        """Note where a beginning is. It was built anew if it was elsewhere, and what was copied of
        the old one helps nobody any more."""
        old = self._kept.get(number)
        self._kept[number] = path
        if old not in (None, path) and old in self._spares:
            self._spares.pop(old).release()

    def _pop(self, path: Path) -> Lease | None:
        spare = self._spares.pop(path, None)
        self._wake.set()  # there is one less, or there should have been one
        if spare is not None and not spare.python.exists():
            spare.release()
            return None
        return spare

    async def _make_spare(self, wanted: Packages, *, keep: int | None = None) -> None:
        try:
            shared = await self._cache.lease(wanted, _ignore)
            try:
                if keep is not None:
                    self._keep(keep, shared.path)
                if shared.path not in self._spares:
                    self._spares[shared.path] = await self._cache.own_copy(shared)
            finally:
                shared.release()
        except Exception as error:  # who wants one next will be told
            log.warning("no copy made ahead wanted=%s error=%s", wanted, error)
        kept = set(self._kept.values())
        others = [path for path in self._spares if path not in kept]
        for path in others[: max(0, len(others) - self._most)]:
            self._spares.pop(path).release()


def _without_ready(report: Report) -> Report:
    def pass_on(phase: progress.Phase) -> None:
        if not isinstance(phase, progress.Ready):
            report(phase)

    return pass_on


def _ignore(phase: progress.Phase) -> None:
    """Nobody waits for it."""
