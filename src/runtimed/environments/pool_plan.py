"""What a pool decides: whom an environment goes to, what to build, what to remove, and when.

A state machine without I/O and clock: the caller tells it what happened and passes the time, and
carries out what `plan` returns. Knows nothing of uv, files or tasks.
"""

from __future__ import annotations

import math
from collections import deque

import attrs

from runtimed.environments.environment import Environment

__all__ = ["MAX_BUILDS", "Build", "Entry", "Failure", "Plan", "PoolPlan", "Ticket"]

#: Builds at a time: two keep the disk and a small machine busy, more only slow each other down.
MAX_BUILDS = 2

_BACKOFF = (30.0, 60.0, 120.0, 240.0, 300.0)


@attrs.frozen
class Entry:
    """An environment that waits to be taken. `expires` is a time on the caller's clock;
    `generation` counts flushes."""

    environment: Environment
    expires: float
    generation: int = 0


@attrs.frozen
class Failure:
    """The latest of `count` failures without a success between them."""

    message: str
    failed_package: str | None
    count: int
    retry_at: float


@attrs.define(eq=False)
class Build:
    """A build in flight. `urgent`: it was started because somebody waits."""

    urgent: bool
    failures_before: int


@attrs.define(eq=False)
class Ticket:
    """Somebody who waits for an environment. Settled once `entry` or `failure` is set.

    `tried`: a build was started while the ticket waited, so the back-off counts for it too.
    """

    tried: bool = False
    entry: Entry | None = None
    failure: Failure | None = None

    @property
    def settled(self) -> bool:
        return self.entry is not None or self.failure is not None


@attrs.frozen
class Plan:
    """What to do now, and until when nothing else is due (math.inf: until something happens)."""

    settled: tuple[Ticket, ...] = ()
    start: tuple[Build, ...] = ()
    remove: tuple[Environment, ...] = ()
    due: float = math.inf


class PoolPlan:
    """The state of one pool. Durations and times are seconds.

    dormant: nothing is kept ready until somebody takes an environment for the first time, or
    `wake` is called. What an earlier daemon left is kept all the same: it costs nothing now.
    """

    def __init__(self, target: int, max_age: float, *, dormant: bool = False) -> None:
        self.target = target
        self.max_age = max_age
        self.dormant = dormant
        self.available: deque[Entry] = deque()
        self.builds: list[Build] = []
        self.tickets: deque[Ticket] = deque()
        self.failure: Failure | None = None
        self._generation = 0
        self._settled: list[Ticket] = []
        self._remove: list[Environment] = []

    def __repr__(self) -> str:
        failures = self.failure.count if self.failure else 0
        return (
            f"<PoolPlan {len(self.available)}/{self.wanted} available, {len(self.builds)} warming, "
            f"{len(self.tickets)} waiting, {failures} failures>"
        )

    @property
    def wanted(self) -> int:
        """How many are to be ready now."""
        return 0 if self.dormant else self.target

    # ------------------------------------------------------------------ what happened

    def wake(self) -> None:
        """From now on the pool is kept filled."""
        self.dormant = False

    def adopt(self, environment: Environment, age: float, now: float) -> None:
        """A usable environment of an earlier daemon. Kept unless too old or more than wanted."""
        if age >= self.max_age or len(self.available) >= self.target:
            self._remove.append(environment)
        else:
            self.available.append(Entry(environment, now + self.max_age - age, self._generation))

    def pop(self, now: float) -> Entry | None:
        """Take the environment that waited longest, if one that is not too old is there."""
        self.wake()
        self._drop_expired(now)
        return self.available.popleft() if self.available and not self.tickets else None

    def join(self) -> Ticket:
        """Somebody starts to wait. Those who came first are served first."""
        self.wake()
        ticket = Ticket()
        self.tickets.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Somebody waits no longer, perhaps with an environment already theirs: it goes back."""
        if ticket in self.tickets:
            self.tickets.remove(ticket)
        entry, ticket.entry = ticket.entry, None
        if entry is None:
            return
        if entry.generation == self._generation:
            self.available.appendleft(entry)
        else:  # there was a flush in between
            self._remove.append(entry.environment)

    def built(self, build: Build, environment: Environment, now: float) -> None:
        """A build succeeded. If a flush came in between, its environment is not wanted."""
        if build not in self.builds:
            self._remove.append(environment)
            return
        self.builds.remove(build)
        self.failure = None
        self.available.append(Entry(environment, now + self.max_age, self._generation))

    def failed(self, build: Build, message: str, failed_package: str | None, now: float) -> None:
        """A build failed. Builds that were in flight together and fail together count once."""
        if build not in self.builds:
            return
        self.builds.remove(build)
        count = self.failure.count if self.failure else 0
        if self.failure is None or build.failures_before >= count:
            retry_at = now + _BACKOFF[min(count, len(_BACKOFF) - 1)]
            self.failure = Failure(message, failed_package, count + 1, retry_at)
        else:
            self.failure = attrs.evolve(
                self.failure, message=message, failed_package=failed_package
            )
        if not self.builds:  # while another is in flight there is hope
            self._refuse([ticket for ticket in self.tickets if ticket.tried], self.failure)

    def give_up(self, message: str) -> None:
        """Nothing will be built any more: everybody who waits is told so."""
        self._refuse(list(self.tickets), Failure(message, None, 0, math.inf))

    def _refuse(self, tickets: list[Ticket], failure: Failure) -> None:
        for ticket in tickets:
            self.tickets.remove(ticket)
            ticket.failure = failure
        self._settled += tickets

    def discard(self, environment: Environment) -> None:
        """An environment is of no use any more."""
        self._remove.append(environment)

    def flush(self) -> tuple[tuple[Environment, ...], tuple[Build, ...]]:
        """Start over: returns the environments to remove and the builds to cancel."""
        drained = tuple(entry.environment for entry in self.available)
        cancelled = tuple(self.builds)
        self._generation += 1
        self.available.clear()
        self.builds.clear()
        self.failure = None
        for ticket in self.tickets:
            ticket.tried = False
        return drained, cancelled

    # ------------------------------------------------------------------ what to do

    def plan(self, now: float) -> Plan:
        """Decide. Never waits, so it can be called again after anything at all happened."""
        self._drop_expired(now)
        self._serve_tickets()
        started = []
        while len(self.builds) < MAX_BUILDS and (build := self._next_build(now)) is not None:
            self.builds.append(build)
            started.append(build)
        if started:
            for ticket in self.tickets:
                ticket.tried = True
        return Plan(self.take_settled(), tuple(started), self.take_discarded(), self._due(now))

    def take_discarded(self) -> tuple[Environment, ...]:
        """The environments to remove that nobody was told of yet."""
        remove, self._remove = tuple(self._remove), []
        return remove

    def take_settled(self) -> tuple[Ticket, ...]:
        """The tickets that were settled since the last call."""
        settled, self._settled = tuple(self._settled), []
        return settled

    def _drop_expired(self, now: float) -> None:
        for entry in [entry for entry in self.available if entry.expires <= now]:
            self.available.remove(entry)
            self._remove.append(entry.environment)

    def _serve_tickets(self) -> None:
        while self.tickets and self.available:
            ticket = self.tickets.popleft()
            ticket.entry = self.available.popleft()
            self._settled.append(ticket)

    def _next_build(self, now: float) -> Build | None:
        failures = self.failure.count if self.failure else 0
        if self.failure is not None:
            # A demand is tried once whatever the back-off says; the background sends one probe.
            untried = sum(not ticket.tried for ticket in self.tickets)
            if untried > len(self.builds):
                return Build(urgent=True, failures_before=failures)
            if now < self.failure.retry_at or self.builds:
                return None
        if len(self.tickets) > len(self.builds):
            return Build(urgent=True, failures_before=failures)
        if self._missing > 0:
            return Build(urgent=False, failures_before=failures)
        return None

    @property
    def _missing(self) -> int:
        return self.wanted + len(self.tickets) - len(self.available) - len(self.builds)

    def _due(self, now: float) -> float:
        due = min((entry.expires for entry in self.available), default=math.inf)
        if self.failure is not None and self._missing > 0 and self.failure.retry_at > now:
            due = min(due, self.failure.retry_at)
        return due
