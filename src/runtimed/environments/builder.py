"""What a pool asks of a builder, so that pools can be tested without files and processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from runtimed.environments.environment import Environment
from runtimed.protocol import progress

__all__ = ["Builder", "Found", "Leftovers", "Report"]

#: Takes one progress phase (a class of `runtimed.protocol.progress`). Must not block.
Report = Callable[[progress.Phase], None]


@attrs.frozen
class Found:
    """A usable environment from an earlier daemon and its age in seconds."""

    environment: Environment
    age: float


@attrs.frozen
class Leftovers:
    """What an earlier daemon left: usable environments, oldest first, and what is to be removed."""

    usable: tuple[Found, ...] = ()
    rubbish: tuple[Environment, ...] = ()


class Builder(Protocol):
    """Where a pool's environments come from and go to. One pool has one builder."""

    async def open(self, packages: Sequence[str]) -> Leftovers:
        """Called once, first: what of an earlier daemon can be used, and what must go."""

    def close(self) -> None:
        """Called once, last."""

    async def build(self, packages: Sequence[str], report: Report, *, urgent: bool) -> Environment:
        """Make one environment. Nothing of it stays if this fails or is cancelled.

        report: gets the phases up to, without, Ready. urgent: somebody waits.
        Raises: EnvironmentBuildFailed.
        """

    def renew(self) -> None:
        """From now on, environments are made from scratch rather than from what is kept."""

    def usable(self, environment: Environment) -> bool:
        """Whether it is still there."""

    def claim(self, environment: Environment) -> None:
        """Remember, also for a later daemon, that the environment was given out."""

    async def remove(self, environment: Environment) -> None:
        """Delete it. Raises: ValueError for a folder that is not ours; OSError."""

    async def finish(self, packages: Sequence[str]) -> None:
        """Do what could wait until the pool was full."""
