"""Environments that are named after what is in them, shared by all rooms and daemons of a user.

Each is built once, under a file lock, in a folder of its own name; a record that is written last
says that it is complete. Kernels run in it and hold it; nothing changes it afterwards. Who wants
one package more gets a copy. How an environment of a kind is made is its maker's affair.
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import attrs
import trio

from runtimed.environments.builder import Report
from runtimed.environments.cache_folders import (
    Hold,
    build_lock,
    choose_removals,
    complete,
    environment_at,
    folder_size,
    folders_in,
    hold,
    known_in,
    new_folder,
    read_record,
    remove_old_locks,
    remove_unused,
    take,
    write_record,
)
from runtimed.environments.clone import clone_environment, move_environment
from runtimed.environments.disk_trouble import disk_trouble
from runtimed.environments.environment import Environment, Kind
from runtimed.environments.locks import hold_lock
from runtimed.environments.shared_build import SharedBuild
from runtimed.environments.wanted import Packages, UvPackages
from runtimed.errors import EnvironmentBuildFailed, RuntimedError
from runtimed.protocol import progress

__all__ = ["EnvironmentCache", "Lease", "Limits", "Maker"]

log = logging.getLogger(__name__)

#: Seconds until what nobody waits for is done: bytecode, sizes, removals.
_SETTLE = 10.0
_CLEANUP = 5.0

#: Seconds at the end for removing copies of its own; what stays is the next daemon's to remove.
_LAST_REMOVALS = 3.0

_DAY = 86400.0
_GIB = 2.0**30


class Maker(Protocol):
    """Makes environments of one kind."""

    @property
    def kind(self) -> Kind: ...

    async def fingerprint(self, wanted: Any) -> str:
        """64 hex digits, equal for what gives equal environments. Raises: RuntimedError."""

    def base(self, wanted: Any) -> Any | None:
        """What a copy of which is a good beginning, or None to build from nothing."""

    async def build(self, path: Path, wanted: Any, report: Report) -> None:
        """Make it at `path`, from nothing. Raises: EnvironmentBuildFailed, OSError."""

    async def extend(self, path: Path, wanted: Any, report: Report) -> bool:
        """Make it out of a copy of its base; False if that is not possible. Raises: as `build`."""

    async def finish(self, path: Path) -> None:
        """Do what could wait until a kernel runs. Best effort."""


@attrs.frozen
class Limits:
    """What is kept. Units: seconds, bytes."""

    max_age: float = 30 * _DAY
    max_size: float = 20 * _GIB
    look_every: float = 6 * 3600.0

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Limits:
        """As RUNTIMED_ENVS_MAX_DAYS and RUNTIMED_ENVS_MAX_GIB say, if they are numbers."""
        limits = cls()
        return cls(
            max_age=_amount(environ, "RUNTIMED_ENVS_MAX_DAYS", _DAY, limits.max_age),
            max_size=_amount(environ, "RUNTIMED_ENVS_MAX_GIB", _GIB, limits.max_size),
        )


class Lease:
    """An environment that stays as long as this is held; gone with the process, too."""

    def __init__(self, held: Hold, ended: Callable[[Lease], None]) -> None:
        self.environment: Environment = environment_at(held.path)
        self._held: Hold | None = held
        self._ended = ended

    @property
    def path(self) -> Path:
        return self.environment.path

    @property
    def python(self) -> Path:
        return self.environment.python

    @property
    def own(self) -> bool:
        """Whether it is one room's own copy, which may be changed and goes with this lease."""
        return self.path.name.startswith("own-")

    def release(self) -> None:
        """The kernel has ended. May be called twice; never blocks."""
        if self._held is not None:
            self._held.release()
            self._held = None
            self._ended(self)


class EnvironmentCache:
    """The cache under `root`.

    makers: gives who makes an environment, by the class of what is wanted; asked once for each.
    """

    def __init__(
        self,
        root: Path,
        makers: Mapping[type, Callable[[], Maker]],
        limits: Limits | None = None,
    ) -> None:
        self.root = root
        self.limits = limits or Limits()
        #: Gives a copy of the environment at a path that was made ahead, for a build to begin with.
        self.copy_ahead: Callable[[Path], Lease | None] = lambda path: None
        self._makers = {wanted: lru_cache(make) for wanted, make in makers.items()}
        self._builds: dict[str, SharedBuild] = {}
        self._leases: set[Lease] = set()
        self._unfinished: dict[Path, Maker] = {}
        self._rubbish: list[Path] = []
        self._stir = trio.Event()
        self._disk = trio.CapacityLimiter(1)  # removing and measuring: nobody waits for it

    def __repr__(self) -> str:
        return f"<EnvironmentCache {len(self._leases)} leases, {len(self._builds)} builds>"

    # ------------------------------------------------------------------ using it

    async def lease(self, wanted: Packages, report: Report) -> Lease:
        """The environment that is wanted; built now unless it is there.

        report: Starting first; then CacheHit, or the phases of the build, this one's or that of
        whoever else in this daemon builds it; last Ready or Error. Must not block.
        Cancelling: nothing half-built stays; others who wait for the same build it themselves.
        Raises: EnvironmentBuildFailed and other RuntimedErrors that name the remedy.
        """
        try:
            lease = await self._lease(wanted, report)
        except RuntimedError as error:
            report(progress.Error(message=str(error)))
            raise
        report(progress.Ready(env_path=str(lease.path), python_path=str(lease.python)))
        return lease

    async def own_copy(self, lease: Lease) -> Lease:
        """A copy that belongs to one room: it may be changed, and goes when it is released.

        Raises: EnvironmentBuildFailed.
        """
        name = lease.environment
        fingerprint = lease.path.name.split("-")[2]
        path = new_folder(self.root, name.kind, fingerprint, "own")
        held = self._new_hold(path)
        try:
            await self._clone(lease.path, path)
        except BaseException as error:
            held.release()
            await self._remove_quietly(path)
            if isinstance(error, OSError):
                raise EnvironmentBuildFailed(disk_trouble(error, self.root)) from error
            raise
        return self._leased(held)

    async def _lease(self, wanted: Packages, report: Report) -> Lease:
        if type(wanted) not in self._makers:
            raise EnvironmentBuildFailed(f"Nothing here can build {type(wanted).__name__}")
        maker = self._makers[type(wanted)]()
        fingerprint = await maker.fingerprint(wanted)
        report(progress.Starting(env_hash=fingerprint[:16]))
        try:
            await trio.to_thread.run_sync(_make_private, self.root)
            lease = await self._take(maker.kind, fingerprint)
            if lease is not None:
                report(progress.CacheHit(env_path=str(lease.path)))
                return lease
            return await self._build_once(maker, wanted, fingerprint, report)
        except OSError as error:
            raise EnvironmentBuildFailed(disk_trouble(error, self.root)) from error

    async def _take(self, kind: Kind, fingerprint: str) -> Lease | None:
        # Not to be given up half-way: what it holds would be held for ever.
        with trio.CancelScope(shield=True):
            held = await trio.to_thread.run_sync(take, self.root, kind, fingerprint)
        return None if held is None else self._leased(held)

    def _leased(self, held: Hold) -> Lease:
        lease = Lease(held, self._ended)
        self._leases.add(lease)
        return lease

    def _ended(self, lease: Lease) -> None:
        self._leases.discard(lease)
        if lease.own:
            self._rubbish.append(lease.path)
            self._stir.set()

    # ------------------------------------------------------------------ building

    async def _build_once(
        self, maker: Maker, wanted: Packages, fingerprint: str, report: Report
    ) -> Lease:
        """Build it, or wait until somebody else has."""
        build = self._builds.setdefault(fingerprint, SharedBuild(fingerprint))
        build.join(report)
        seen = build.failures
        try:
            async with hold_lock(build_lock(self.root, fingerprint), taken=build.wait):
                with build.locked():
                    build.raise_failure(seen)
                    lease = await self._take(maker.kind, fingerprint)
                    if lease is not None:
                        if not build.heard_of:
                            report(progress.CacheHit(env_path=str(lease.path)))
                        return lease
                    with build.attempt():
                        return await self._build(maker, wanted, fingerprint, build.tell)
        finally:
            build.reports.remove(report)
            if not build.reports:
                self._builds.pop(fingerprint, None)

    async def _build(
        self, maker: Maker, wanted: Packages, fingerprint: str, report: Report
    ) -> Lease:
        """Call with the lock on building it held."""
        started = time.monotonic()
        await trio.to_thread.run_sync(self._remove_half_built, fingerprint)
        path = new_folder(self.root, maker.kind, fingerprint)
        held = self._new_hold(path)
        try:
            if not await self._extend_base(maker, wanted, path, report):
                await maker.build(path, wanted, report)
            packages = _texts(wanted)
            now = time.time()
            await trio.to_thread.run_sync(complete, path, fingerprint, packages, now)
        except BaseException as error:
            held.release()
            await self._remove_quietly(path, building=True)
            if isinstance(error, OSError):
                raise EnvironmentBuildFailed(disk_trouble(error, self.root)) from error
            raise
        log.info("environment built path=%s seconds=%.1f", path, time.monotonic() - started)
        self._unfinished[path] = maker
        self._stir.set()
        return self._leased(held)

    async def _extend_base(
        self, maker: Maker, wanted: Packages, path: Path, report: Report
    ) -> bool:
        base = maker.base(wanted)
        if base is None:
            return False
        lease = await self._lease(base, _without_ends(report))
        try:
            await self._begin_with(lease, path)
        finally:
            lease.release()
        if await maker.extend(path, wanted, report):
            return True
        await trio.to_thread.run_sync(_clear, path)
        return False

    async def _begin_with(self, base: Lease, path: Path) -> None:
        ahead = self.copy_ahead(base.path)
        if ahead is None:
            await self._clone(base.path, path)
            return
        try:
            await trio.to_thread.run_sync(move_environment, ahead.path, path)
        finally:
            ahead.release()

    async def _clone(self, source: Path, path: Path) -> None:
        def clone() -> None:
            path.mkdir()
            clone_environment(source, path, trio.from_thread.check_cancelled)

        await trio.to_thread.run_sync(clone)

    def _new_hold(self, path: Path) -> Hold:
        try:
            held = hold(path)
        except OSError as error:
            raise EnvironmentBuildFailed(disk_trouble(error, self.root)) from error
        assert held is not None, "nobody else knows the name"
        return held

    def _remove_half_built(self, fingerprint: str) -> None:
        for path, name in folders_in(self.root):
            if name.fingerprint == fingerprint[:16] and not name.own and not read_record(path):
                self._remove_logged(path, building=True)

    # ------------------------------------------------------------------ keeping it small

    async def run(
        self, *, task_status: trio.TaskStatus[EnvironmentCache] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Do what nobody waits for: bytecode, sizes, and removing what is old or too much. Runs
        until cancelled; the copies that were given back by then are then removed."""
        task_status.started(self)
        try:
            await self._keep_small()
        finally:
            with trio.move_on_after(_LAST_REMOVALS, shield=True):
                for path in self._rubbish:
                    await trio.to_thread.run_sync(self._remove_logged, path, abandon_on_cancel=True)

    async def _keep_small(self) -> None:
        """Runs until cancelled."""
        await trio.sleep(_SETTLE)
        look_at = trio.current_time()
        while True:
            self._stir = trio.Event()
            try:
                await self.tidy(prune=trio.current_time() >= look_at)
            except Exception:  # a folder that others have spoilt is no reason to end
                log.exception("cached environments not tidied root=%s", self.root)
            if trio.current_time() >= look_at:
                look_at = trio.current_time() + self.limits.look_every
            with trio.move_on_at(look_at):
                await self._stir.wait()
                await trio.sleep(_SETTLE)  # what was just built is just being used

    async def tidy(self, *, prune: bool = True) -> None:
        """One round of what `run` does."""
        while self._rubbish:
            path = self._rubbish.pop()
            await trio.to_thread.run_sync(self._remove_logged, path, limiter=self._disk)
        while self._unfinished:
            path, maker = self._unfinished.popitem()
            await self._finish(path, maker)
        if prune:
            await trio.to_thread.run_sync(self._prune, limiter=self._disk)

    async def _finish(self, path: Path, maker: Maker) -> None:
        with trio.CancelScope(shield=True):
            held = await trio.to_thread.run_sync(hold, path)
        if held is None:
            return
        try:
            await maker.finish(path)
            await trio.to_thread.run_sync(_measure, path, limiter=self._disk)
        except (OSError, RuntimedError) as error:
            log.warning("environment not finished path=%s error=%s", path, error)
        finally:
            held.release()

    def _prune(self) -> None:
        now = time.time()
        limits = self.limits
        for one in known_in(self.root):
            if one.record is not None and not one.size:
                try:
                    _measure(one.path)
                except OSError as error:
                    log.warning("environment not measured path=%s error=%s", one.path, error)
        known = known_in(self.root)
        for path in choose_removals(known, now, max_age=limits.max_age, max_size=limits.max_size):
            self._remove_logged(path)
        remove_old_locks(self.root, now, limits.max_age)

    async def _remove_quietly(self, path: Path, *, building: bool = False) -> None:
        """Shielded, for clean-up after a failure or a cancel. What it leaves has no record."""
        with trio.move_on_after(_CLEANUP, shield=True):
            await trio.to_thread.run_sync(
                lambda: self._remove_logged(path, building=building), abandon_on_cancel=True
            )

    def _remove_logged(self, path: Path, *, building: bool = False) -> None:
        try:
            if remove_unused(self.root, path, building=building):
                log.info("environment removed path=%s", path)
        except OSError as error:
            log.warning("environment not removed path=%s error=%s", path, error)


def _amount(environ: Mapping[str, str], name: str, unit: float, default: float) -> float:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not amount >= 0:
        log.warning("variable ignored name=%s value=%r: not a number from 0", name, text)
        return default
    return amount * unit


def _make_private(root: Path) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)


def _clear(path: Path) -> None:
    shutil.rmtree(path)


def _measure(path: Path) -> None:
    record = read_record(path)
    if record is not None:
        write_record(path, attrs.evolve(record, size=folder_size(path), finished=True))


def _texts(wanted: Packages) -> list[str]:
    """What was asked for, as people read it."""
    if isinstance(wanted, UvPackages):
        texts, python = list(wanted.requirements), wanted.requires_python
    else:
        texts, python = [*wanted.specs, *wanted.pip, *wanted.editable], wanted.python
    if python:
        texts.append(f"python{python}" if python[:1] in "<>=!~" else f"python={python}")
    return texts


def _without_ends(report: Report) -> Report:
    """Pass on the phases of a base's build, which begins and ends nothing for whoever waits."""

    def pass_on(phase: progress.Phase) -> None:
        begins = isinstance(phase, progress.Starting) and not phase.elsewhere
        if not begins and not isinstance(phase, progress.CacheHit):
            report(phase)

    return pass_on
