"""From the choice of an environment to the command that starts a kernel in it.

Everything that kernels can run in comes together here: pools, cached environments, projects, Deno.
Each is imported when it is first wanted, for the daemon answers before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from runtimed.environments.builder import Report
from runtimed.environments.cache import EnvironmentCache
from runtimed.environments.environment import Kind
from runtimed.environments.own_copies import OwnCopies
from runtimed.environments.pool import Pool
from runtimed.environments.repeating import repeating
from runtimed.environments.wanted import (
    Choice,
    CondaPackages,
    DenoRuntime,
    Packages,
    Pooled,
    UvPackages,
    UvProject,
)

if TYPE_CHECKING:
    from runtimed.environments.deno import DenoTool
    from runtimed.kernels.launch import LaunchSpec

__all__ = ["Preparation"]


class Preparation:
    """Prepares what kernels run in."""

    def __init__(
        self, pools: Mapping[Kind, Pool], cache: EnvironmentCache, copies: OwnCopies
    ) -> None:
        self._pools = pools
        self._cache = cache
        self._copies = copies
        self._deno: DenoTool | None = None

    async def prepare(self, choice: Choice, folder: Path, report: Report) -> LaunchSpec:
        """Make what was chosen ready. The caller starts a kernel with it, or releases it.

        folder: where the kernel will work.
        report: hears each step, and again the last one where a step takes long.
        Raises: EnvironmentBuildFailed and other RuntimedErrors that name the remedy.
        """
        return await repeating(report, partial(self._prepare, choice, folder))

    async def _prepare(self, choice: Choice, folder: Path, report: Report) -> LaunchSpec:
        wanted = choice.wanted
        if isinstance(wanted, Pooled):
            from runtimed.kernels.launch import python_kernel

            pool = self._pools[wanted.kind]
            environment = await pool.take(report)
            release = partial(pool.discard, environment)
            return python_kernel(environment, choice.env_source, release=release)
        if isinstance(wanted, (UvPackages, CondaPackages)):
            return await self._cached(choice, wanted, report)
        if isinstance(wanted, UvProject):
            return await self._project(choice, wanted, report)
        return await self._deno_kernel(wanted, folder, report)

    async def _cached(self, choice: Choice, wanted: Packages, report: Report) -> LaunchSpec:
        from runtimed.kernels.launch import python_kernel

        own = await self._copies.take(wanted, report)
        variables = wanted.variables if isinstance(wanted, CondaPackages) else {}
        return python_kernel(
            own.environment, choice.env_source, wanted=variables, release=own.release
        )

    async def _project(self, choice: Choice, wanted: UvProject, report: Report) -> LaunchSpec:
        from runtimed.environments.uv_project import prepare_project
        from runtimed.kernels.launch import project_kernel

        prepared = await prepare_project(wanted, self._cache, report)
        spec = project_kernel(prepared.environment, choice.env_source, prepared.packages)
        if prepared.lease is None:
            return spec
        return attrs.evolve(spec, release=prepared.lease.release)

    async def _deno_kernel(self, wanted: DenoRuntime, folder: Path, report: Report) -> LaunchSpec:
        from runtimed.environments.deno import DenoTool
        from runtimed.kernels.deno import deno_kernel

        self._deno = self._deno or DenoTool()
        program = await self._deno.get(report)
        make = partial(deno_kernel, wanted, program, folder=folder)
        return await trio.to_thread.run_sync(make)
