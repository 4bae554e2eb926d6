"""Building one conda environment: solve and link, the pip part, bytecode, activation.

Knows nothing of pools and caches: it is given a path, and the caller cleans up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.conda.activation import record_activation
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.conda.messages import Order
from runtimed.environments.conda.prefixed import record_prefixed
from runtimed.environments.conda.solving import Limits, solve_and_link
from runtimed.environments.disk_trouble import disk_trouble
from runtimed.environments.programs import run_program
from runtimed.environments.uv import failed_package, find_uv, uv_environ
from runtimed.environments.uv_complaints import with_remedy
from runtimed.environments.uv_install import check_requirements
from runtimed.environments.wanted import CondaPackages
from runtimed.environments.warm_up import warm_up
from runtimed.errors import EnvironmentBuildFailed
from runtimed.paths import cache_root
from runtimed.protocol import progress

__all__ = ["BASE_SPECS", "build_conda", "specs_of"]

#: In every conda environment.
BASE_SPECS = ("ipykernel", "ipywidgets")

_LIMITS = Limits()
_BARE_VERSION = re.compile(r"\d+(\.\d+)*")


def specs_of(wanted: CondaPackages) -> list[str]:
    """What is solved for: Python, what kernels need, then what is wanted, each once.

    Special cases: a bare Python version means that version and everything more precise, `3.12`
    any 3.12; without any it is 3.9 or later.
    """
    python = (wanted.python or ">=3.9").strip()
    if _BARE_VERSION.fullmatch(python):
        python += ".*"
    elif _BARE_VERSION.match(python) is None and python.startswith("=") and python[1:2].isdigit():
        python = python[1:].removesuffix(".*") + ".*"
    asked = [spec for spec in wanted.specs if spec.strip() not in BASE_SPECS]
    return list(dict.fromkeys([f"python {python}", *BASE_SPECS, *asked]))


async def build_conda(
    path: Path,
    wanted: CondaPackages,
    report: Report,
    *,
    channels: ChannelMap | None = None,
    limits: Limits = _LIMITS,
    environ: Mapping[str, str] = os.environ,
) -> Path:
    """Make the environment at `path` and return its interpreter.

    channels: how names of channels become URLs; by default as the environment variables say.
    report: gets the phases from FetchingRepodata to InstallComplete, then InstallingPackages if
    there is a pip part.
    The environment is bound to the path: it can't be moved.
    Raises: EnvironmentBuildFailed; what there is at `path` by then stays.
    """
    check_requirements(wanted.pip)
    known = channels or ChannelMap.of(environ)
    found = list(known.resolve(wanted.channels))
    specs = []
    for spec in specs_of(wanted):
        text, own = known.with_own_channel(spec)
        specs.append(text)
        if own is not None and own.url not in [channel.url for channel in found]:
            found.append(own)
    order = Order(str(path), specs, found, str(_package_cache(environ)))
    python = path / "bin" / "python"
    try:
        await solve_and_link(order, report, limits=limits, environ=environ)
        if not await trio.to_thread.run_sync(python.exists):
            raise EnvironmentBuildFailed(f"Python not found at {python} after conda install")
        if wanted.pip or wanted.editable:
            await _install_pip_part(path, python, wanted, report, limits.pip, environ)
        await trio.to_thread.run_sync(record_prefixed, path)
        await record_activation(path, environ)
    except OSError as error:
        raise EnvironmentBuildFailed(disk_trouble(error, path.parent)) from error
    await warm_up(path)
    return python


def _package_cache(environ: Mapping[str, str]) -> Path:
    """The folder that tools of this stack share; the library's own default has two meanings."""
    named = environ.get("RATTLER_CACHE_DIR")
    return Path(named) if named else cache_root(environ) / "rattler" / "cache"


async def _install_pip_part(
    path: Path,
    python: Path,
    wanted: CondaPackages,
    report: Report,
    limit: float,
    environ: Mapping[str, str],
) -> None:
    report(progress.InstallingPackages(packages=(*wanted.pip, *wanted.editable)))
    options = [*wanted.pip_options, *(f"--editable={folder}" for folder in wanted.editable)]
    command = [str(find_uv()), "pip", "install", "--python", str(python), *options, "--"]
    command += wanted.pip
    try:
        done = await run_program(command, environ=uv_environ(environ), cwd=path, limit=limit)
    except trio.TooSlowError:
        raise EnvironmentBuildFailed(
            f"Failed to install the pip packages: not done within {limit:.0f} seconds"
        ) from None
    if not done.ok:
        raise EnvironmentBuildFailed(
            f"Failed to install the pip packages: {with_remedy(done.complaint)}",
            failed_package(done.stderr),
        )
