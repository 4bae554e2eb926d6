"""From the choice of an environment to the command that starts a kernel in it.

Everything that kernels can run in comes together here: pools, cached environments, projects, Deno.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from runtimed.environments.builder import Report
from runtimed.environments.environment import Kind
from runtimed.environments.pool import Pool
from runtimed.environments.wanted import Choice, Pooled
from runtimed.errors import EnvironmentBuildFailed
from runtimed.kernels.launch import LaunchSpec, python_kernel

__all__ = ["Preparation"]


class Preparation:
    """Prepares what kernels run in."""

    def __init__(self, pools: Mapping[Kind, Pool]) -> None:
        self._pools = pools

    async def prepare(self, choice: Choice, folder: Path, report: Report) -> LaunchSpec:
        """Make what was chosen ready. The caller starts a kernel with it, or releases it.

        folder: where the kernel will work.
        Raises: EnvironmentBuildFailed, KernelStartFailed.
        """
        wanted = choice.wanted
        if isinstance(wanted, Pooled):
            pool = self._pools[wanted.kind]
            environment = await pool.take(report)
            release = partial(pool.discard, environment)
            return python_kernel(environment, choice.env_source, release=release)
        raise EnvironmentBuildFailed(f"{choice.env_source} is not available in this version")
