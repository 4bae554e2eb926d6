"""A pool of environments that are ready before anybody asks.

`PoolPlan` decides, this carries it out: one warmer task that owns the builds and removals, and the
waiting of those who take. Where environments come from is the builder's affair.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from runtimed.environments.builder import Builder, Report
from runtimed.environments.environment import Environment, Kind
from runtimed.environments.pool_plan import Build, Failure, Plan, PoolPlan, Ticket
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

__all__ = ["Pool", "PoolErrorInfo", "PoolStatus"]

log = logging.getLogger(__name__)

_LOOK_AGAIN = 30.0
_BUILDS_FIRST = 10.0
_DELETING = 10.0

#: Seconds at the end for removing what was given out; what stays is the next daemon's to remove.
_LAST_REMOVALS = 3.0
_PHASES_QUEUED = 64  # what is more is dropped, see _Listener

#: Phases that come again and again, each making the one before it needless.
_MOVING = (progress.DownloadProgress, progress.LinkProgress)


@attrs.frozen
class PoolErrorInfo:
    """Why the pool does not fill up. `retry_in_secs` 0 means that a build is due now."""

    message: str
    failed_package: str | None
    consecutive_failures: int
    retry_in_secs: int


@attrs.frozen
class PoolStatus:
    available: int
    warming: int
    target: int
    error: PoolErrorInfo | None = None


@attrs.define(eq=False)
class _Listener:
    """The progress of one who waits. Steps that a second build repeats are told once."""

    send: trio.MemorySendChannel[progress.Phase]
    told: list[progress.Phase] = attrs.field(factory=list)

    def tell(self, phase: progress.Phase) -> None:
        if not isinstance(phase, _MOVING):
            if phase in self.told:
                return
            self.told.append(phase)
        try:
            self.send.send_nowait(phase)
        except (trio.WouldBlock, trio.BrokenResourceError):
            pass  # progress may be lost, the result can't be: it is in the ticket


class Pool:
    """Environments of one kind under `root`, `target` of them kept ready.

    packages: what is in them besides what kernels need.
    max_age: seconds until an environment that nobody took is replaced.
    dormant: none is kept ready before the first is taken, or `wake` is called.
    """

    def __init__(
        self,
        kind: Kind,
        root: Path,
        target: int,
        builder: Builder,
        packages: Sequence[str] = (),
        max_age: float = 172800.0,
        *,
        dormant: bool = False,
    ) -> None:
        self.kind = kind
        self.root = root
        self.packages = tuple(packages)
        self._builder = builder
        self._state = PoolPlan(target, max_age, dormant=dormant)
        self._scopes: dict[Build, trio.CancelScope] = {}
        self._phases: dict[Build, list[progress.Phase]] = {}
        self._listeners: dict[Ticket, _Listener] = {}
        self._given: set[Path] = set()
        self._going: dict[Path, Environment] = {}  # to be removed, and not yet gone
        self._unfinished = True
        self._finishing = False
        self._stir = trio.Event()
        self._version = 0
        self._last_seen: tuple[object, ...] = ()
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._removing = trio.CapacityLimiter(1)  # deleting is disk work nobody waits for

    def __repr__(self) -> str:
        return f"<Pool {self.kind} {self._state!r}>"

    # ------------------------------------------------------------------ using it

    async def take(self, progress_to: Report | None = None) -> Environment:
        """An environment of the caller's own: a ready one, else one that is built now.

        Waits for a build in flight or starts one, whatever the back-off says. `progress_to` is
        called with each phase of it, last with Ready or Error.
        Cancelling loses nothing: an environment that was already there stays in the pool.
        Raises: EnvironmentBuildFailed.
        """
        await trio.lowlevel.checkpoint()
        report = progress_to or _ignore
        environment = self.take_nowait() or await self._wait_for_one(report)
        try:
            report(
                progress.Ready(env_path=str(environment.path), python_path=str(environment.python))
            )
        except BaseException:
            self.discard(environment)
            raise
        return environment

    def take_nowait(self) -> Environment | None:
        """A ready environment, or None when there is none. Starts nothing but its replacement."""
        self._look_again()
        while (entry := self._state.pop(trio.current_time())) is not None:
            if self._builder.usable(entry.environment):
                return self._give(entry.environment)
            log.warning("environment vanished from the pool path=%s", entry.environment.path)
            self._state.discard(entry.environment)
        return None

    async def _wait_for_one(self, report: Report) -> Environment:
        send, receive = trio.open_memory_channel[progress.Phase](_PHASES_QUEUED)
        listener = _Listener(send)
        ticket = self._state.join()
        self._listeners[ticket] = listener
        furthest: list[progress.Phase] = max(self._phases.values(), key=len, default=[])
        for phase in furthest:
            listener.tell(phase)
        self._look_again()
        try:
            with send, receive:
                async for phase in receive:
                    report(phase)
            if ticket.failure is not None:
                report(progress.Error(message=ticket.failure.message))
                raise EnvironmentBuildFailed(ticket.failure.message, ticket.failure.failed_package)
            assert ticket.entry is not None
            return self._give(ticket.entry.environment)
        except BaseException:
            self._state.leave(ticket)
            raise
        finally:
            self._listeners.pop(ticket, None)
            self._look_again()

    def _give(self, environment: Environment) -> Environment:
        self._builder.claim(environment)
        self._given.add(environment.path)
        return environment

    def discard(self, environment: Environment) -> bool:
        """Have an environment removed that was taken from here. Returns before it is gone.

        Anything else is refused (False), so no caller can make the pool delete a foreign folder.
        """
        if environment.path not in self._given:
            log.warning("not an environment of this pool path=%s", environment.path)
            return False
        self._given.discard(environment.path)
        self._state.discard(environment)
        self._look_again()
        return True

    def wake(self) -> None:
        """Keep the pool filled from now on, although nobody has taken anything from it yet."""
        self._state.wake()
        self._look_again()

    async def flush(self, packages: Sequence[str] | None = None) -> None:
        """Replace everything: builds in flight start anew and the failure record is forgotten.

        Returns once the available environments are deleted; a disk that is slow at this goes on
        with it afterwards, and nobody gets one of them any more.

        packages: what environments hold from now on; None leaves that as it is.
        """
        if packages is not None:
            self.packages = tuple(packages)
        drained, cancelled = self._state.flush()
        for build in cancelled:
            if (scope := self._scopes.get(build)) is not None:
                scope.cancel()
        self._builder.renew()
        self._look_again()
        if drained and self._nursery is not None:
            gone = trio.Event()
            self._note_going(drained)
            self._nursery.start_soon(self._remove_all, drained, gone)
            with trio.move_on_after(_DELETING):
                await gone.wait()
        else:
            await trio.lowlevel.checkpoint()

    def status(self) -> PoolStatus:
        state = self._state
        error = None
        if state.failure is not None:
            error = PoolErrorInfo(
                message=state.failure.message or "Unknown error",
                failed_package=state.failure.failed_package,
                consecutive_failures=state.failure.count,
                retry_in_secs=max(0, math.ceil(state.failure.retry_at - trio.current_time())),
            )
        return PoolStatus(len(state.available), len(state.builds), state.wanted, error)

    async def wait_changed(self, seen: int) -> int:
        """Wait until the status is newer than version `seen` (0 at first); returns its version."""
        await trio.lowlevel.checkpoint()
        while self._version == seen:
            await self._changed.wait()
        return self._version

    # ------------------------------------------------------------------ the warmer

    async def run(self, *, task_status: trio.TaskStatus[Pool] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the pool filled, first with what an earlier daemon left: who takes before that has
        been looked at waits for it. Runs until cancelled; builds in flight are then cancelled and
        leave nothing behind."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started(self)
                await self._adopt_leftovers()
                while True:
                    self._stir = trio.Event()
                    plan = self._state.plan(trio.current_time())
                    self._carry_out(plan, nursery)
                    self._tell_status()
                    with trio.move_on_at(min(plan.due, trio.current_time() + _LOOK_AGAIN)):
                        await self._stir.wait()
        finally:
            self._nursery = None
            self._state.give_up("The environment pool is closed")
            self._settle(self._state.take_settled())
            self._note_going(self._state.take_discarded())
            with trio.move_on_after(_LAST_REMOVALS, shield=True):
                for environment in tuple(self._going.values()):
                    await self._remove(environment)
            self._builder.close()

    async def _adopt_leftovers(self) -> None:
        try:
            leftovers = await self._builder.open(self.packages)
        except (EnvironmentBuildFailed, OSError) as error:
            # the first build will meet the same trouble and is retried
            log.warning("%s environments of earlier runs not adopted error=%s", self.kind, error)
            return
        now = trio.current_time()
        for found in leftovers.usable:
            self._state.adopt(found.environment, found.age, now)
        for environment in leftovers.rubbish:
            self._state.discard(environment)

    def _carry_out(self, plan: Plan, nursery: trio.Nursery) -> None:
        self._settle(plan.settled)
        for build in plan.start:
            self._scopes[build] = trio.CancelScope()
            self._phases[build] = []
            self._unfinished = True
            nursery.start_soon(self._build, build, self._scopes[build])
        if plan.remove:
            self._note_going(plan.remove)
            nursery.start_soon(self._remove_all, plan.remove, None)
        full = len(self._state.available) >= self._state.wanted > 0
        if full and not self._state.builds and self._unfinished and not self._finishing:
            self._unfinished, self._finishing = False, True
            nursery.start_soon(self._finish)

    def _settle(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            if (listener := self._listeners.get(ticket)) is not None:
                listener.send.close()

    async def _build(self, build: Build, scope: trio.CancelScope) -> None:
        """One build; whatever goes wrong in it ends it alone. Cancelled by a flush."""

        def report(phase: progress.Phase) -> None:
            if build not in self._phases:
                return
            phases = self._phases[build]
            if isinstance(phase, _MOVING):  # who joins later is told where it is now
                phases[:] = [other for other in phases if type(other) is not type(phase)]
            phases.append(phase)
            if isinstance(phase, _MOVING) and build is not next(iter(self._phases)):
                return  # a bar that shows two builds by turns shows neither
            for listener in self._listeners.values():
                listener.tell(phase)

        try:
            with scope:
                environment = await self._builder.build(self.packages, report, urgent=build.urgent)
                self._state.built(build, environment, trio.current_time())
        except EnvironmentBuildFailed as error:
            self._record_failure(build, str(error), error.failed_package)
        except Exception as error:
            log.exception("%s environment build crashed", self.kind)
            self._record_failure(build, f"{type(error).__name__}: {error}", None)
        finally:
            del self._scopes[build]
            del self._phases[build]
            self._look_again()

    def _record_failure(self, build: Build, message: str, package: str | None) -> None:
        for listener in self._listeners.values():
            listener.told.clear()  # a second attempt tells its phases again
        self._state.failed(build, message, package, trio.current_time())
        self._warn(self._state.failure)

    def _warn(self, failure: Failure | None) -> None:
        if failure is None:
            return
        culprit = ""
        if failure.failed_package is not None:
            culprit = f" package={failure.failed_package} setting={self.kind}.default_packages"
        log.warning(
            "%s environment build failed%s failures=%d retry_in=%.0f error=%s",
            self.kind,
            culprit,
            failure.count,
            max(0.0, failure.retry_at - trio.current_time()),
            failure.message,
        )

    async def _finish(self) -> None:
        try:
            await self._builder.finish(self.packages)
        except (EnvironmentBuildFailed, OSError) as error:
            log.warning("%s template not finished error=%s", self.kind, error)
        finally:
            self._finishing = False

    async def _remove_all(
        self, environments: Sequence[Environment], gone: trio.Event | None
    ) -> None:
        try:
            if gone is None:  # nobody waits for this, and builds need the disk more
                with trio.move_on_after(_BUILDS_FIRST):
                    while self._state.builds:
                        await self._changed.wait()
            for environment in environments:
                async with self._removing:
                    await self._remove(environment)
        finally:
            if gone is not None:
                gone.set()

    async def _remove(self, environment: Environment) -> None:
        try:
            await self._builder.remove(environment)
        except FileNotFoundError:  # by an earlier attempt that was cancelled and goes on
            pass
        except (OSError, ValueError) as error:
            log.warning("environment not removed path=%s error=%s", environment.path, error)
        self._going.pop(environment.path, None)

    def _note_going(self, environments: Sequence[Environment]) -> None:
        self._going.update((environment.path, environment) for environment in environments)

    # ------------------------------------------------------------------ telling

    def _look_again(self) -> None:
        self._stir.set()

    def _tell_status(self) -> None:
        """Log the counts, after each change and, unless the pool is off, every half minute; wake
        those who watch."""
        status = self.status()
        off = not (status.available or status.target or status.warming)
        if not off or self._last_seen[:3] != (0, 0, 0):
            log.info(
                "%s pool: %d/%d available, %d warming",
                "UV" if self.kind == "uv" else "Conda",
                status.available,
                status.target,
                status.warming,
            )
        seen = (status.available, status.warming, status.target, self._state.failure)
        if seen != self._last_seen:
            self._last_seen = seen
            self._version += 1
            self._changed.set()
            self._changed = trio.Event()


def _ignore(phase: progress.Phase) -> None:
    pass
