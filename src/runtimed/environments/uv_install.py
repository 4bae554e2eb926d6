"""Making one environment from nothing with uv: the folder and the packages.

Knows nothing of templates, clones and pools: it is given a path, and the caller cleans up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.programs import run_program
from runtimed.environments.uv import failed_package, uv_environ
from runtimed.environments.uv_complaints import with_remedy
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

__all__ = ["BASE_PACKAGES", "check_requirements", "install"]

#: In every environment. uv is there so that `%uv` and `!uv` work inside notebooks. Without a bound
#: uv would take an old ipykernel that does not start, for the sake of other requirements.
BASE_PACKAGES = ("ipykernel>=6", "ipywidgets", "uv")

_VENV_LIMIT = 60.0
# One limit for builds that somebody waits for and builds in the background: the first may join the
# second half-way. uv itself gives up on connections that stall.
_INSTALL_LIMIT = 600.0


def check_requirements(packages: Sequence[str]) -> None:
    """Raises: EnvironmentBuildFailed for what can't be a requirement, an option above all."""
    for package in packages:
        name = package.strip()
        if not name or name.startswith("-"):
            raise EnvironmentBuildFailed(f"Not a package requirement: {package!r}", name or None)


async def install(
    path: Path, uv: Path, python: Path, packages: Sequence[str], report: Report
) -> None:
    """Create an environment at `path` for the interpreter `python`, with `packages` in it.

    Raises: EnvironmentBuildFailed; what there is at `path` by then stays.
    """
    report(progress.CreatingVenv())
    venv = [str(uv), "venv", "--python", str(python), "--", str(path)]
    try:
        done = await run_program(venv, environ=uv_environ(), cwd=path.parent, limit=_VENV_LIMIT)
    except trio.TooSlowError:
        raise EnvironmentBuildFailed(
            f"Timeout creating venv after {_VENV_LIMIT:.0f} seconds"
        ) from None
    if not done.ok:
        raise EnvironmentBuildFailed(f"Failed to create venv: {with_remedy(done.complaint)}")
    wanted = [*BASE_PACKAGES, *(package.strip() for package in packages)]
    report(progress.InstallingPackages(packages=tuple(wanted)))
    # "--": a requirement is never taken for an option
    command = [str(uv), "pip", "install", "--python", str(path / "bin" / "python"), "--", *wanted]
    try:
        done = await run_program(
            command, environ=uv_environ(), cwd=path.parent, limit=_INSTALL_LIMIT
        )
    except trio.TooSlowError:
        raise EnvironmentBuildFailed(f"Timeout after {_INSTALL_LIMIT:.0f} seconds") from None
    if not done.ok:
        raise EnvironmentBuildFailed(
            f"Failed to install dependencies: {with_remedy(done.complaint)}",
            failed_package(done.stderr),
        )
