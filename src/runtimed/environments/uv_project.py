"""The environment of a project with a pyproject.toml: the one that uv keeps in the project.

`uv run` brings it up to date beforehand, as a step of its own, so that what is wrong with the
project comes in uv's words and not as a kernel that does not start. The kernel then runs in it
directly: a uv that stays in between would pass each signal on a second time. Where the project does
not have the kernel's own packages, they come last on its path, from a cached environment for the
same interpreter; so nothing is written into the project but what uv itself does.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import orjson
import trio

from runtimed.environments.builder import Report
from runtimed.environments.cache import EnvironmentCache, Lease
from runtimed.environments.environment import Environment
from runtimed.environments.programs import run_program
from runtimed.environments.uv import failed_package, find_uv, python_environ
from runtimed.environments.uv_complaints import with_remedy
from runtimed.environments.wanted import UvPackages, UvProject
from runtimed.errors import EnvironmentBuildFailed, RuntimedError
from runtimed.protocol import progress

__all__ = ["PreparedProject", "prepare_project"]

_LIMIT = 900.0

_PROBE = """
import importlib.util, json, sys
print("\\nruntimed:" + json.dumps({
    "prefix": sys.prefix,
    "python": sys.executable,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "complete": all(importlib.util.find_spec(name) for name in ("ipykernel", "ipywidgets")),
}))
"""


@attrs.frozen
class PreparedProject:
    """A project's environment. Release the lease, if there is one, when the kernel has ended.

    packages: where the kernel's own packages are, if not in the environment.
    """

    environment: Environment
    packages: Path | None = None
    lease: Lease | None = None


async def prepare_project(
    wanted: UvProject,
    cache: EnvironmentCache,
    report: Report,
    *,
    locate_uv: Callable[[], Path] = find_uv,
    environ: Mapping[str, str] = os.environ,
    limit: float = _LIMIT,
) -> PreparedProject:
    """Have uv bring the project's environment up to date.

    report: Starting, InstallingPackages, the phases of what else is built, Ready or Error.
    Raises: EnvironmentBuildFailed with uv's words and the remedy.
    """
    folder = wanted.pyproject.parent
    report(progress.Starting(env_hash=hashlib.sha256(bytes(folder)).hexdigest()[:16]))
    report(progress.InstallingPackages(packages=(folder.name,)))
    try:
        prepared = await _prepare(folder, cache, report, locate_uv(), environ, limit)
    except RuntimedError as error:
        report(progress.Error(message=str(error)))
        raise
    environment = prepared.environment
    report(progress.Ready(env_path=str(environment.path), python_path=str(environment.python)))
    return prepared


async def _prepare(
    folder: Path,
    cache: EnvironmentCache,
    report: Report,
    uv: Path,
    environ: Mapping[str, str],
    limit: float,
) -> PreparedProject:
    command = [str(uv), "run", "--project", str(folder), "--", "python", "-I", "-c", _PROBE]
    try:
        done = await run_program(command, environ=_variables(environ), cwd=folder, limit=limit)
    except trio.TooSlowError:
        raise EnvironmentBuildFailed(
            f"uv did not prepare the project in {folder} within {limit:.0f} seconds: "
            "run `uv sync` there, then start the kernel again"
        ) from None
    if not done.ok:
        raise EnvironmentBuildFailed(
            f"uv can't prepare the project in {folder}: {with_remedy(done.complaint)}\n"
            "`uv sync` in that folder shows the same.",
            failed_package(done.stderr),
        )
    known = _probed(done.stdout)
    if known is None:
        raise EnvironmentBuildFailed(
            f"The interpreter of the project in {folder} does not say what it is; it printed: "
            f"{done.stdout.strip()[-200:]!r}"
        )
    environment = Environment("uv", Path(known["prefix"]), Path(known["python"]))
    if known["complete"]:
        return PreparedProject(environment)
    base = UvPackages((), requires_python=f"=={known['version']}")
    lease = await cache.lease(base, _without_ends(report))
    major_minor = known["version"].rpartition(".")[0]
    packages = lease.path / "lib" / f"python{major_minor}" / "site-packages"
    return PreparedProject(environment, packages, lease)


def _probed(output: str) -> dict[str, Any] | None:
    """What the probe printed, among whatever else the project prints at a start or an end."""
    for line in reversed(output.splitlines()):
        if line.startswith("runtimed:"):
            found: dict[str, Any] = orjson.loads(line.removeprefix("runtimed:"))
            return found
    return None


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The project's settings hold, and the user's; nothing that means another environment."""
    variables = python_environ(environ)
    variables.update(UV_NO_PROGRESS="1", NO_COLOR="1")
    return variables


def _without_ends(report: Report) -> Report:
    def pass_on(phase: progress.Phase) -> None:
        if not isinstance(
            phase, progress.Starting | progress.CacheHit | progress.Ready | progress.Error
        ):
            report(phase)

    return pass_on
