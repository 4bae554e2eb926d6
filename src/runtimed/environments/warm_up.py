"""Bytecode for what kernels import, so that the first of them starts as fast as the next.

The same for every kind of environment: it runs the interpreter inside.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import trio

from runtimed.environments.programs import run_program
from runtimed.environments.uv import python_environ

__all__ = ["compile_further", "warm_up"]

log = logging.getLogger(__name__)

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
