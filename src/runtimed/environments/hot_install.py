"""One package more for a kernel that runs already, in the environment that is its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial

from runtimed.environments.builder import Report
from runtimed.environments.environment import Environment
from runtimed.environments.repeating import repeating
from runtimed.environments.uv_packages import install_into
from runtimed.environments.wanted import UvPackages
from runtimed.errors import RuntimedError
from runtimed.protocol import progress

__all__ = ["install_more"]


async def install_more(
    environment: Environment,
    wanted_before: UvPackages,
    added: Sequence[str],
    report: Report,
    *,
    environ: Mapping[str, str] = os.environ,
    limit: float = 600.0,
) -> None:
    """Install `added` into a kernel's own environment.

    What was wanted before is resolved together with it: nothing that the notebook lists is replaced
    by a version that it excludes.
    report: InstallingPackages, again where it takes long, then Ready or Error.
    Raises: EnvironmentBuildFailed, RequirementRefused, before anything was changed.
    """
    install = partial(
        install_into,
        environment,
        [*added, *wanted_before.requirements],
        wanted_before.prerelease,
        environ=environ,
        limit=limit,
    )
    try:
        await repeating(report, install)
    except RuntimedError as error:
        report(progress.Error(message=str(error)))
        raise
    report(progress.Ready(env_path=str(environment.path), python_path=str(environment.python)))
