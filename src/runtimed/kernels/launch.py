"""What to run for a kernel: command line, environment variables, working directory.

Values only; no process is started here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from runtimed.environments.environment import Environment

__all__ = ["LaunchSpec", "python_kernel"]


@attrs.frozen
class LaunchSpec:
    """A kernel to start. `argv` holds the word `{connection_file}` where the path goes."""

    kernel_type: str
    kernel_name: str
    env_source: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = attrs.field(repr=False)
    environment: Environment | None = None


def python_kernel(
    environment: Environment, env_source: str, environ: Mapping[str, str] = os.environ
) -> LaunchSpec:
    """A Python kernel in an environment.

    The environment's own `bin` comes first on PATH, so that `!python` and `!pip` mean it.
    """
    variables = dict(environ)
    for inherited in ("PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX"):
        variables.pop(inherited, None)
    path = [str(environment.python.parent), *variables.get("PATH", os.defpath).split(os.pathsep)]
    variables["PATH"] = os.pathsep.join(entry for entry in path if entry)
    variables["VIRTUAL_ENV" if environment.kind == "uv" else "CONDA_PREFIX"] = str(environment.path)
    # Programs that ask for a terminal's size get the one that notebooks are read at.
    variables.update(COLUMNS="80", LINES="100")
    # ipykernel ends itself when this process, its parent, is gone.
    variables["JPY_PARENT_PID"] = str(os.getpid())
    return LaunchSpec(
        kernel_type="python",
        kernel_name="python3",
        env_source=env_source,
        argv=(
            str(environment.python),
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ),
        environ=variables,
        environment=environment,
    )


def notebooks_directory(environ: Mapping[str, str], workspace: Path | None) -> Path:
    """Where untitled notebooks run: ~/notebooks, or the workspace's; not the home folder itself,
    for macOS would ask for permissions there. Not created here."""
    home = Path(environ.get("HOME") or Path.home())
    return (workspace or home) / "notebooks"
