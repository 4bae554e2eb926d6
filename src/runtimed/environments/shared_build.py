"""One environment that several in this daemon wait for, whoever builds it: what they are told."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from runtimed.environments.builder import Report
from runtimed.errors import RuntimedError
from runtimed.protocol import progress

__all__ = ["SharedBuild"]

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class SharedBuild:
    """fingerprint: of the environment. reports: of those who wait."""

    fingerprint: str
    reports: list[Report] = attrs.field(factory=list)
    failures: int = 0
    _failure: RuntimedError | None = None
    _told: list[progress.Phase] = attrs.field(factory=list)
    _ours: bool = False

    def join(self, report: Report) -> None:
        """One more waits, and hears what the others have heard."""
        for phase in self._told:
            report(phase)
        self.reports.append(report)

    def tell(self, phase: progress.Phase) -> None:
        self._told.append(phase)
        for report in self.reports:
            report(phase)

    @property
    def heard_of(self) -> bool:
        """Whether those who wait have heard how it was built."""
        return any(not isinstance(phase, progress.Starting) for phase in self._told)

    def wait(self) -> None:
        """Somebody has the lock on building it: tell those who have heard nothing that it is
        another daemon, if so."""
        if not self._ours and not self._told:
            log.info("waiting for another daemon's build fingerprint=%s", self.fingerprint[:16])
            self.tell(progress.Starting(env_hash=self.fingerprint[:16], elsewhere=True))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Around what is done with the lock."""
        self._ours = True
        try:
            yield
        finally:
            self._ours = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around building it. How that fails is told to all who waited for it."""
        self._failure = None
        self._told.clear()
        try:
            yield
        except RuntimedError as error:
            self._failure = error
            self.failures += 1
            self._told.clear()
            raise
        except BaseException:
            self._told.clear()
            raise

    def raise_failure(self, seen: int) -> None:
        """Raise that of the last attempt, if there was one after `seen` failures."""
        if self.failures > seen and self._failure is not None:
            raise copy.copy(self._failure)  # an error has one traceback
