"""What to run for a kernel: command line, environment variables, working directory.

Values only; no process is started here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import attrs

from runtimed.environments.conda.activation import (
    activation_variables,
    of_an_active_one,
    prefix_variables,
)
from runtimed.environments.environment import Environment
from runtimed.kernels.connection import Transport
from runtimed.paths import home_folder

__all__ = ["LaunchSpec", "project_kernel", "python_kernel"]

_NOTHING: Mapping[str, str] = {}


def _keep() -> None:
    """There is nothing to release."""


@attrs.frozen
class LaunchSpec:
    """A kernel to start. `argv` holds the word `{connection_file}` where the path goes.

    release: called once, when it has ended or could not be started. notes: what was asked for and
    is not done. transport: over which the kernel can talk. interrupt: how it is interrupted, by
    SIGINT or by a message. idle_early: whether it says that a cell is done before all of the
    output has come, see `output_mark`. first: code to run before anything else, silently.
    start_limit: seconds that it may take to answer.
    """

    kernel_type: str
    kernel_name: str
    env_source: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = attrs.field(repr=False)
    environment: Environment | None = None
    release: Callable[[], object] = attrs.field(default=_keep, repr=False)
    notes: tuple[str, ...] = ()
    transport: Transport = "ipc"
    interrupt: Literal["signal", "message"] = "signal"
    idle_early: bool = False
    first: str = ""
    start_limit: float = 60.0


def python_kernel(
    environment: Environment,
    env_source: str,
    environ: Mapping[str, str] = os.environ,
    *,
    wanted: Mapping[str, str] = _NOTHING,
    release: Callable[[], object] = _keep,
) -> LaunchSpec:
    """A Python kernel in an environment.

    wanted: variables that the project asks for; what makes the environment's own programs come
    first wins over them.
    The environment's own `bin` comes first on PATH, so that `!python` and `!pip` mean it. A conda
    environment also has what its packages set when somebody activates it.
    """
    variables = {name: value for name, value in environ.items() if not _inherited(name)}
    if environment.kind == "conda":
        # Else packages of the user's home folder would come before the environment's, which a
        # virtual environment rules out by itself.
        variables.setdefault("PYTHONNOUSERSITE", "1")
        variables.update(activation_variables(environment.path))
    variables.update(wanted)
    path = [str(environment.bin), *variables.get("PATH", os.defpath).split(os.pathsep)]
    variables["PATH"] = os.pathsep.join(entry for entry in path if entry)
    if environment.kind == "conda":
        variables.update(prefix_variables(environment.path))
    else:
        variables["VIRTUAL_ENV"] = str(environment.path)
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
        release=release,
    )


def project_kernel(
    environment: Environment,
    env_source: str,
    packages: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> LaunchSpec:
    """A Python kernel in a project's own environment.

    packages: where the kernel's own packages are, if the project does not have them. They come last
    on the path: what the project has itself is what its code imports.
    """
    spec = python_kernel(environment, env_source, environ)
    if packages is None:
        return spec
    start = (
        f"import sys; sys.path.append({str(packages)!r}); import runpy; "
        "runpy.run_module('ipykernel_launcher', run_name='__main__', alter_sys=True)"
    )
    argv = (spec.argv[0], "-Xfrozen_modules=off", "-c", start, "-f", "{connection_file}")
    return attrs.evolve(spec, argv=argv)


def _inherited(name: str) -> bool:
    """Whether a variable is about the environment that the daemon was started in."""
    return name in ("PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV") or of_an_active_one(name)


def notebooks_directory(environ: Mapping[str, str], workspace: Path | None) -> Path:
    """Where untitled notebooks run: ~/notebooks, or the workspace's; not the home folder itself,
    for macOS would ask for permissions there. Not created here."""
    return (workspace or home_folder(environ)) / "notebooks"
