"""Copies of cached environments, one for each kernel.

A kernel is free to change what it runs in: packages are installed into it while it runs, by the
daemon or by whoever uses it (`%uv pip install`). So each gets a copy made of hard links, and the
cached environment stays what its name says. After a copy has been given out another one is made, so
that the next kernel need not wait for it.
"""

from __future__ import annotations

import logging
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.cache import EnvironmentCache, Lease
from runtimed.environments.wanted import Packages
from runtimed.errors import RuntimedError
from runtimed.protocol import progress

__all__ = ["OwnCopies"]

log = logging.getLogger(__name__)

#: Seconds between a use and the next copy: the kernel that has just begun needs the disk more.
_QUIET = 2.0


class OwnCopies:
    """Gives out copies of what is in a cache. At most `spares` of them wait for the next kernel."""

    def __init__(self, cache: EnvironmentCache, *, spares: int = 3) -> None:
        self._cache = cache
        self._most = spares
        self._spares: dict[Path, Lease] = {}  # by what they are a copy of, the latest used last
        self._used: dict[Path, Packages] = {}
        self._wake = trio.Event()

    async def take(self, wanted: Packages, report: Report) -> Lease:
        """A copy of the environment that is wanted, which is built unless it is there.

        To be released when its kernel has ended; it is removed then.
        report: as with EnvironmentCache.lease.
        Raises: EnvironmentBuildFailed and other RuntimedErrors that name the remedy.
        """
        shared = await self._cache.lease(wanted, _without_ready(report))
        try:
            own = self._spares.pop(shared.path, None)
            if own is not None and not own.python.exists():
                own.release()
                own = None
            if own is None:
                own = await self._cache.own_copy(shared)
            if self._most > 0:
                self._used[shared.path] = wanted
                self._wake.set()
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
            while True:
                await self._wake.wait()
                await trio.sleep(_QUIET)
                self._wake = trio.Event()
                while self._used:
                    await self._make_spare(*self._used.popitem())
        finally:
            for spare in self._spares.values():
                spare.release()
            self._spares.clear()

    async def _make_spare(self, path: Path, wanted: Packages) -> None:
        try:
            shared = await self._cache.lease(wanted, _ignore)
            try:
                if shared.path == path and path not in self._spares:
                    self._spares[path] = await self._cache.own_copy(shared)
            finally:
                shared.release()
        except Exception as error:  # who wants one next will be told
            log.warning("no copy made ahead path=%s error=%s", path, error)
        while len(self._spares) > self._most:
            self._spares.pop(next(iter(self._spares))).release()


def _without_ready(report: Report) -> Report:
    def pass_on(phase: progress.Phase) -> None:
        if not isinstance(phase, progress.Ready):
            report(phase)

    return pass_on


def _ignore(phase: progress.Phase) -> None:
    """Nobody waits for it."""
