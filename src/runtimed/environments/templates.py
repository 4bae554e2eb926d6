"""Building environments for pools: one template per set of packages, and clones of it.

A template is installed and warmed up once, which takes seconds; an environment is a clone of hard
links, made in a fraction of one. Everything lies under one root; what is complete carries a marker
that says so, and lock files keep two daemons with one root out of each other's way. How a template
is made from packages is its recipe's affair.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs
import trio

from runtimed.environments.builder import Found, Leftovers, Report
from runtimed.environments.clone import clone_environment
from runtimed.environments.directories import (
    MARKER,
    Marker,
    Owner,
    environments_in,
    living_owners,
    new_environment_path,
    new_template_path,
    read_marker,
    remove_folder,
    templates_in,
    write_marker,
)
from runtimed.environments.disk_trouble import disk_trouble
from runtimed.environments.environment import Environment, Kind
from runtimed.environments.locks import hold_lock, try_lock
from runtimed.environments.warm_up import compile_further
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

__all__ = ["Recipe", "TemplateBuilder"]

log = logging.getLogger(__name__)

_REFRESH_RETRY = 3600.0
_CLEANUP = 2.0


@attrs.frozen
class _Template:
    path: Path
    marker: Marker

    @property
    def age(self) -> float:
        return time.time() - self.marker.created


class Recipe(Protocol):
    """How the templates of one kind are made."""

    @property
    def kind(self) -> Kind: ...

    def check(self, packages: Sequence[str]) -> None:
        """Raises: EnvironmentBuildFailed for what can't be a package, before anything is done."""

    async def fingerprint(self, packages: Sequence[str]) -> str:
        """What makes two environments interchangeable, as 64 hex digits.

        Raises: EnvironmentBuildFailed.
        """

    async def install(self, path: Path, packages: Sequence[str], report: Report) -> None:
        """Make the template, with the bytecode that a kernel starts with.

        Raises: EnvironmentBuildFailed, OSError; what there is at `path` by then stays.
        """


class TemplateBuilder:
    """Builds environments for a Pool, under `root`, as the recipe says.

    max_age: seconds after which a template is built anew, so that environments follow releases.
    """

    def __init__(self, root: Path, recipe: Recipe, max_age: float) -> None:
        self.root = root
        self.kind: Kind = recipe.kind
        self.max_age = max_age
        self._recipe = recipe
        self._owner: Owner | None = None
        self._refresh_at = 0.0
        self._not_before = 0.0
        # One for each kind: who builds or clones one does not wait for the other.
        self._building = root / f".templates-{self.kind}.lock"
        self._cloning = root / f".templates-{self.kind}-in-use.lock"

    # ------------------------------------------------------------------ what a pool asks for

    async def open(self, packages: Sequence[str]) -> Leftovers:
        """Start to own the root, and sort what an earlier daemon left there."""
        await self._prepare_root()
        try:
            fingerprint = await self._recipe.fingerprint(packages)
        except EnvironmentBuildFailed as error:
            log.warning("%s environments of earlier runs not adopted error=%s", self.kind, error)
            fingerprint = ""
        return await trio.to_thread.run_sync(self._sort_leftovers, fingerprint)

    def close(self) -> None:
        """Stop owning the root. What is claimed or half-built may be removed by others now."""
        if self._owner is not None:
            self._owner.close()
            self._owner = None

    async def build(self, packages: Sequence[str], report: Report, *, urgent: bool) -> Environment:
        """Make one environment. Nothing of it stays if this fails or is cancelled.

        urgent: somebody waits, so a template past its age will do.
        Raises: EnvironmentBuildFailed.
        """
        self._recipe.check(packages)
        await self._prepare_root()
        fingerprint = await self._recipe.fingerprint(packages)
        report(progress.Starting(env_hash=fingerprint[:16]))
        attempted = False
        while True:
            async with hold_lock(self._cloning, shared=True):
                template = await self._find_template(fingerprint)
                if template is not None and self._acceptable(template, urgent):
                    if not attempted:
                        report(progress.CacheHit(env_path=str(template.path)))
                    try:
                        return await self._clone(template)
                    except OSError as error:
                        if isinstance(error, FileNotFoundError):  # somebody deleted parts of it
                            (template.path / MARKER).unlink(missing_ok=True)
                        raise EnvironmentBuildFailed(disk_trouble(error, self.root)) from error
            attempted = True
            try:
                await self._build_template(packages, fingerprint, report, urgent)
            except EnvironmentBuildFailed as error:
                if template is None:
                    raise
                self._refresh_at = time.time() + _REFRESH_RETRY
                log.warning(
                    "%s template not refreshed, the old one stays error=%s", self.kind, error
                )

    def renew(self) -> None:
        """Templates made before now count as too old, also for those who wait."""
        self._not_before = time.time()
        self._refresh_at = 0.0

    def usable(self, environment: Environment) -> bool:
        return environment.python.exists()

    def claim(self, environment: Environment) -> None:
        """Record that the environment was given out: no daemon will ever offer it again."""
        marker = read_marker(environment.path)
        try:
            if marker is not None:
                write_marker(environment.path, attrs.evolve(marker, state="claimed"))
        except OSError:  # without a marker it counts as half-built, which is as good
            (environment.path / MARKER).unlink(missing_ok=True)

    async def remove(self, environment: Environment) -> None:
        """Delete the folder of an environment. Raises: ValueError for a path that is not ours."""
        await trio.to_thread.run_sync(
            remove_folder, self.root, self.kind, environment.path, abandon_on_cancel=True
        )

    async def finish(self, packages: Sequence[str]) -> None:
        """What can wait until the pool is full: more bytecode in the template.

        Warm-up has imported what kernels start with, which is all that the first environment
        waits for. With packages of the user's everything is compiled: each fresh clone would have
        to do it again at its first import of them.
        """
        async with hold_lock(self._cloning, shared=True):
            template = await self._find_template(await self._recipe.fingerprint(packages))
            if template is None or template.marker.compiled:
                return
            await compile_further(template.path, everything=bool(packages))
            marker = attrs.evolve(template.marker, compiled=True)
            await trio.to_thread.run_sync(write_marker, template.path, marker)

    # ------------------------------------------------------------------ templates

    async def _prepare_root(self) -> None:
        try:
            await trio.to_thread.run_sync(self._own_root)
        except OSError as error:
            raise EnvironmentBuildFailed(f"Failed to create cache dir: {error}") from error

    def _own_root(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        if self._owner is None:
            self._owner = Owner(self.root)

    async def _find_template(self, fingerprint: str) -> _Template | None:
        return await trio.to_thread.run_sync(self._newest_template, fingerprint)

    def _newest_template(self, fingerprint: str) -> _Template | None:
        found = [
            _Template(path, marker)
            for path in templates_in(self.root, self.kind)
            if (marker := read_marker(path)) is not None
            and marker.fingerprint == fingerprint
            and marker.state == "ready"
            and (path / "bin" / "python").exists()
        ]
        return max(found, key=lambda template: template.marker.created, default=None)

    def _acceptable(self, template: _Template, urgent: bool) -> bool:
        if time.time() < self._refresh_at:
            return True  # a new one could not be made a while ago
        if template.marker.created < self._not_before:
            return False
        return urgent or template.age <= self.max_age

    async def _build_template(
        self, packages: Sequence[str], fingerprint: str, report: Report, urgent: bool
    ) -> None:
        async with hold_lock(self._building):
            known = await self._find_template(fingerprint)
            if known is not None and self._acceptable(known, urgent):
                return  # another build made it while this one waited for the lock
            started = time.monotonic()
            path = new_template_path(self.root, self.kind, fingerprint)
            try:
                await self._recipe.install(path, packages, report)
                marker = Marker("ready", time.time(), fingerprint)
                await trio.to_thread.run_sync(write_marker, path, marker)
            except OSError as error:
                await self._remove_quietly(path)
                raise EnvironmentBuildFailed(disk_trouble(error, self.root)) from error
            except BaseException:
                await self._remove_quietly(path)
                raise
            log.info("template built path=%s seconds=%.1f", path, time.monotonic() - started)
            await trio.to_thread.run_sync(self._remove_other_templates, path)

    def _remove_other_templates(self, current: Path) -> None:
        """Remove all templates but one. Call with the lock on building held.

        Skipped while any is being cloned; the next template, or the next daemon, catches up.
        """
        with try_lock(self._cloning) as unused:
            if unused:
                for path in templates_in(self.root, self.kind):
                    if path != current:
                        self._remove_logged(path)

    def _remove_stale_templates(self) -> None:
        """Remove what no build will replace soon: a pool may sleep, and its settings may differ
        from those that a template was made for. Call with the lock on building held."""
        with try_lock(self._cloning) as unused:
            for path in templates_in(self.root, self.kind) if unused else ():
                marker = read_marker(path)
                if marker is None or time.time() - marker.created > self.max_age:
                    self._remove_logged(path)

    # ------------------------------------------------------------------ environments

    async def _clone(self, template: _Template) -> Environment:
        assert self._owner is not None
        path = new_environment_path(self.root, self.kind)
        marker = Marker("building", time.time(), template.marker.fingerprint, self._owner.name)

        def clone() -> None:
            path.mkdir()
            write_marker(path, marker)
            clone_environment(template.path, path, trio.from_thread.check_cancelled)
            write_marker(path, attrs.evolve(marker, state="ready"))

        try:
            await trio.to_thread.run_sync(clone)
            await trio.lowlevel.checkpoint_if_cancelled()
        except BaseException:
            await self._remove_quietly(path)
            raise
        return Environment(self.kind, path, path / "bin" / "python")

    def _sort_leftovers(self, fingerprint: str) -> Leftovers:
        alive = set(living_owners(self.root))
        now = time.time()
        found: list[Found] = []
        rubbish: list[Environment] = []
        for path in environments_in(self.root, self.kind):
            marker = read_marker(path)
            if marker is not None and marker.owner in alive:
                continue
            environment = Environment(self.kind, path, path / "bin" / "python")
            if (
                marker is not None
                and marker.state == "ready"
                and marker.fingerprint == fingerprint
                and self.usable(environment)
            ):
                self._take_over(environment, marker)
                # a clock that was set back must not make an environment immortal
                found.append(Found(environment, age=max(0.0, now - marker.created)))
            else:
                rubbish.append(environment)
        with try_lock(self._building) as nobody_builds:
            if nobody_builds and (current := self._newest_template(fingerprint)) is not None:
                self._remove_other_templates(current.path)
            elif nobody_builds:
                self._remove_stale_templates()
        found.sort(key=lambda one: one.age, reverse=True)
        return Leftovers(tuple(found), tuple(rubbish))

    def _take_over(self, environment: Environment, marker: Marker) -> None:
        assert self._owner is not None
        write_marker(environment.path, attrs.evolve(marker, owner=self._owner.name))

    # ------------------------------------------------------------------ removing

    async def _remove_quietly(self, path: Path) -> None:
        """Shielded, for clean-up after a failure or a cancel. What it leaves has no marker."""
        with trio.move_on_after(_CLEANUP, shield=True):
            await trio.to_thread.run_sync(self._remove_logged, path, abandon_on_cancel=True)

    def _remove_logged(self, path: Path) -> None:
        try:
            remove_folder(self.root, self.kind, path)
        except OSError as error:
            log.warning("environment not removed path=%s error=%s", path, error)
