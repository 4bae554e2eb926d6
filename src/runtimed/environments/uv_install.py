"""Making one environment from nothing with uv: the folder, the packages, their bytecode.

Knows nothing of templates, clones and pools: it is given a path, and the caller cleans up.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.uv import (
    failed_package,
    python_environ,
    run_program,
    uv_environ,
)
from runtimed.errors import EnvironmentBuildFailed
from runtimed.protocol import progress

__all__ = ["BASE_PACKAGES", "check_requirements", "compile_further", "install", "warm_up"]

log = logging.getLogger(__name__)

#: In every environment. uv is there so that `%uv` and `!uv` work inside notebooks.
BASE_PACKAGES = ("ipykernel", "ipywidgets", "uv")

_VENV_LIMIT = 60.0
# One limit for builds that somebody waits for and builds in the background: the first may join the
# second half-way. uv itself gives up on connections that stall.
_INSTALL_LIMIT = 600.0
_WARMUP_LIMIT = 30.0

_COMPILE_LIMIT = 900.0

# What a kernel imports while it starts: nobody can use an environment sooner than this.
_WARMUP = """
import ipykernel, IPython, ipywidgets, ipykernel.kernelbase, ipykernel.ipkernel
for name in '''
    ipykernel_launcher ipykernel.kernelapp IPython.extensions.storemagic IPython.core.completerlib
    IPython.core.logger IPython.core._dunder_ops debugpy._vendored.force_pydevd psutil
    IPython.core.debugger ipykernel.debugger tornado.platform.asyncio tornado.queues
'''.split():
    try:
        __import__(name)
    except Exception:
        pass
"""

# What it imports later, for its first traceback, completion, inspection; some may be absent.
_FURTHER_WARMUP = """
for name in '''
    IPython.core.guarded_eval IPython.core.oinspect IPython.core.debugger_backport
    IPython.core.latex_symbols IPython.utils.wildcard stack_data executing asttokens pure_eval
    pygments.lexers.python pygments.formatters.html pygments.formatters.terminal256
    pygments.styles.default jedi jedi.api.completion jedi.plugins.stdlib jedi.inference.finder
    debugpy.server.api
'''.split():
    try:
        __import__(name)
    except Exception:
        pass
"""


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
        raise EnvironmentBuildFailed(f"Failed to create venv: {done.stderr}")
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
            f"Failed to install dependencies: {done.stderr}", failed_package(done.stderr)
        )


async def warm_up(path: Path) -> None:
    """Import what kernels import, so that its bytecode is there. Best effort."""
    await _run_python(path, "warm-up", _WARMUP_LIMIT, "-c", _WARMUP)


async def compile_further(path: Path, *, everything: bool) -> None:
    """Bytecode for what kernels import later, or for every module, at the lowest priority.

    Best effort.
    """
    nice = shutil.which("nice")
    prefix = [nice, "-n", "19"] if nice else []
    if everything:
        arguments = ["-m", "compileall", "-q", str(path / "lib")]
    else:
        arguments = ["-c", _FURTHER_WARMUP]
    await _run_python(path, "compiling", _COMPILE_LIMIT, *arguments, prefix=prefix)


async def _run_python(
    path: Path, what: str, limit: float, *arguments: str, prefix: Sequence[str] = ()
) -> None:
    command = [*prefix, str(path / "bin" / "python"), "-I", *arguments]
    try:
        done = await run_program(command, environ=python_environ(), cwd=path, limit=limit)
    except trio.TooSlowError:
        log.warning("%s timed out path=%s", what, path)
    else:
        if not done.ok:
            log.warning("%s failed path=%s error=%s", what, path, done.stderr or done.stdout)
