"""What packages want in the environment variables of programs that run in a conda environment.

Conda tools find that out by sourcing `etc/conda/activate.d/*.sh` in the user's shell. A kernel has
no shell: the scripts are sourced once, when the environment is built, by a shell of their own, and
what they changed is kept beside the packages' records. So a kernel starts as fast as without them.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import orjson
import trio

from runtimed.environments.programs import run_program
from runtimed.environments.uv import python_environ
from runtimed.errors import EnvironmentBuildFailed

__all__ = ["activation_variables", "of_an_active_one", "prefix_variables", "record_activation"]

log = logging.getLogger(__name__)

_RECORD = "conda-meta/runtimed-activation.json"
_LIMIT = 30.0

# Sources every script, then writes the variables. Scripts may fail or use unset variables.
_SCRIPT = """
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -r "$script" ]; then . "$script" >/dev/null </dev/null; fi
done
exec "$CONDA_PREFIX/bin/python" -I -c '
import json, os, sys
json.dump(dict(os.environ), sys.stdout)
'
"""

# Ours to set, or of the shell that ran the scripts.
_NOT_RECORDED = frozenset({"PATH", "PWD", "OLDPWD", "SHLVL", "_", "PS1"})


def prefix_variables(prefix: Path) -> dict[str, str]:
    """What says that this environment is the active one; as conda does for one without a name."""
    return {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": str(prefix), "CONDA_SHLVL": "1"}


def of_an_active_one(name: str) -> bool:
    """Whether a variable says so of some other environment, which was active before."""
    return name in ("CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER", "CONDA_SHLVL") or (
        name.startswith("CONDA_PREFIX")
    )


def activation_variables(prefix: Path) -> dict[str, str]:
    """What the environment's packages want set, as it was found when it was built."""
    try:
        recorded = orjson.loads((prefix / _RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in recorded.items() if isinstance(value, str)}


async def record_activation(prefix: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Find out what activating the environment changes, and keep it. Best effort.

    Source: conda's `etc/conda/env_vars.d/*.json`, then `etc/conda/activate.d/*.sh`.
    """
    wanted = await trio.to_thread.run_sync(_declared, prefix)
    if await trio.to_thread.run_sync(_has_scripts, prefix):
        wanted = await _run_scripts(prefix, environ, wanted)
    if wanted:
        await trio.to_thread.run_sync((prefix / _RECORD).write_bytes, orjson.dumps(wanted))


def _declared(prefix: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted((prefix / "etc/conda/env_vars.d").glob("*.json")):
        try:
            content = orjson.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            log.warning("variables of a conda package unreadable path=%s error=%s", file, error)
        else:
            if isinstance(content, dict):
                found |= {name: value for name, value in content.items() if isinstance(value, str)}
    return found


def _has_scripts(prefix: Path) -> bool:
    return any((prefix / "etc/conda/activate.d").glob("*.sh"))


async def _run_scripts(
    prefix: Path, environ: Mapping[str, str], declared: Mapping[str, str]
) -> dict[str, str]:
    inherited = python_environ(environ)
    before = {name: value for name, value in inherited.items() if not of_an_active_one(name)}
    path = os.pathsep.join([str(prefix / "bin"), before.get("PATH", os.defpath)])
    before.update({**declared, **prefix_variables(prefix), "PATH": path})
    # Many scripts are written for bash although their name says sh.
    shell = shutil.which("bash") or "/bin/sh"
    try:
        done = await run_program([shell, "-c", _SCRIPT], environ=before, cwd=prefix, limit=_LIMIT)
        if not done.ok:
            raise EnvironmentBuildFailed(done.stderr)
        after = orjson.loads(done.stdout)
    except (EnvironmentBuildFailed, trio.TooSlowError, ValueError) as error:
        log.warning("activation scripts not applied path=%s error=%s", prefix, error)
        return dict(declared)
    changed = {
        name: value
        for name, value in after.items()
        if before.get(name) != value and name not in _NOT_RECORDED
    }
    return {**declared, **changed}
