"""Environments for the packages that a notebook lists, made by uv for the cache.

Nearly always a clone of an environment that has the kernel's own packages and their bytecode, with
the rest installed into it: that is a fraction of the time. Where the listed packages do not go with
those, everything is resolved together, from nothing.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import trio

from runtimed.environments.builder import Report
from runtimed.environments.environment import Environment, Kind
from runtimed.environments.fingerprint import fingerprint
from runtimed.environments.index_settings import index_settings
from runtimed.environments.interpreters import Interpreters
from runtimed.environments.platforms import conda_platform
from runtimed.environments.programs import ProgramResult, run_program
from runtimed.environments.requirements import parse_prerelease, parse_requirements
from runtimed.environments.uv import failed_package, find_uv, uv_environ, uv_version
from runtimed.environments.uv_complaints import with_remedy
from runtimed.environments.uv_install import BASE_PACKAGES
from runtimed.environments.wanted import UvPackages
from runtimed.environments.warm_up import compile_further, warm_up
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

__all__ = ["UvPackagesMaker", "install_into"]

_LAYOUT = "1"  # part of the fingerprint: raise it when environments are built differently
_LIMIT = 600.0
_SHORT_LIMIT = 60.0

#: Seconds without a byte after which uv gives a server up, and how often it tries again; unless the
#: user has said otherwise. Its own would keep a hanging index for minutes.
_HTTP_TIMEOUT = "15"
_HTTP_RETRIES = "2"


class UvPackagesMaker:
    """Makes environments for UvPackages. interpreters, locate_uv: asked at each build."""

    kind: Kind = "uv"

    def __init__(
        self,
        *,
        interpreters: Interpreters | None = None,
        locate_uv: Callable[[], Path] = find_uv,
        environ: Mapping[str, str] = os.environ,
        limit: float = _LIMIT,
    ) -> None:
        self._locate_uv = locate_uv
        self._interpreters = interpreters or Interpreters(locate_uv=locate_uv, environ=environ)
        self._environ = environ
        self._limit = limit
        self._versions: dict[Path, str] = {}

    async def fingerprint(self, wanted: UvPackages) -> str:
        uv = self._locate_uv()
        if uv not in self._versions:
            self._versions[uv] = await uv_version(uv)
        python = await self._interpreters.choose(wanted.requires_python)
        indexes = await trio.to_thread.run_sync(index_settings, self._environ)
        return fingerprint(
            # It has chosen the interpreter, and does nothing else.
            attrs.evolve(wanted, requires_python=None),
            platform=conda_platform(sys.platform, platform.machine()),
            interpreter=str(await trio.to_thread.run_sync(python.resolve)),
            built_by=[_LAYOUT, self._versions[uv], *BASE_PACKAGES, *indexes],
        )

    def base(self, wanted: UvPackages) -> UvPackages | None:
        if not wanted.requirements:
            return None
        return UvPackages((), requires_python=wanted.requires_python)

    async def build(self, path: Path, wanted: UvPackages, report: Report) -> None:
        python = await self._interpreters.choose(wanted.requires_python)
        report(progress.CreatingVenv())
        command = [str(self._locate_uv()), "venv", "--python", str(python), "--", str(path)]
        done = await self._run(command, path.parent, _SHORT_LIMIT, "Failed to create venv")
        if not done.ok:
            raise EnvironmentBuildFailed(f"Failed to create venv: {with_remedy(done.complaint)}")
        packages = [*BASE_PACKAGES, *wanted.requirements]
        await self._install(path, packages, wanted.prerelease, report)
        await warm_up(path)

    async def extend(self, path: Path, wanted: UvPackages, report: Report) -> bool:
        report(progress.CreatingVenv())
        await self._install(path, wanted.requirements, wanted.prerelease, report)
        # What was installed may have replaced what the kernel's own packages need.
        command = [str(self._locate_uv()), "pip", "check", "--python", str(path / "bin" / "python")]
        return (await self._run(command, path, _SHORT_LIMIT, "Failed to check packages")).ok

    async def finish(self, path: Path) -> None:
        await compile_further(path, everything=True)

    async def _install(
        self, path: Path, packages: Sequence[str], prerelease: str | None, report: Report
    ) -> None:
        await install_into(
            Environment("uv", path, path / "bin" / "python"),
            packages,
            prerelease,
            report,
            uv=self._locate_uv(),
            environ=self._environ,
            limit=self._limit,
        )

    async def _run(
        self, command: Sequence[str], cwd: Path, limit: float, what: str
    ) -> ProgramResult:
        try:
            return await run_program(command, environ=_patient(self._environ), cwd=cwd, limit=limit)
        except trio.TooSlowError:
            raise EnvironmentBuildFailed(f"{what}: not done within {limit:.0f} seconds") from None


async def install_into(
    environment: Environment,
    packages: Sequence[str],
    prerelease: str | None,
    report: Report,
    *,
    uv: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    limit: float = _LIMIT,
) -> None:
    """Install packages into an environment that nobody else uses.

    Raises: EnvironmentBuildFailed with uv's words and the remedy; RequirementRefused.
    """
    texts = [one.text for one in parse_requirements(packages)]
    report(progress.InstallingPackages(packages=tuple(texts)))
    command = [str(uv or find_uv()), "pip", "install", "--python", str(environment.python)]
    if prerelease is not None:
        command.append(f"--prerelease={parse_prerelease(prerelease)}")
    try:
        done = await run_program(
            [*command, "--", *texts],  # "--": a requirement is never taken for an option
            environ=_patient(environ),
            cwd=environment.path,
            limit=limit,
        )
    except trio.TooSlowError:
        raise EnvironmentBuildFailed(
            f"Failed to install dependencies: not done within {limit:.0f} seconds. What was "
            "downloaded is kept: start the kernel again"
        ) from None
    if not done.ok:
        raise EnvironmentBuildFailed(
            f"Failed to install dependencies: {with_remedy(done.complaint)}",
            failed_package(done.stderr),
        )


def _patient(environ: Mapping[str, str]) -> dict[str, str]:
    variables = uv_environ(environ)
    variables.setdefault("UV_HTTP_TIMEOUT", _HTTP_TIMEOUT)
    variables.setdefault("UV_HTTP_RETRIES", _HTTP_RETRIES)
    return variables
