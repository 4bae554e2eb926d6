"""The facts that resolution goes by, gathered from this machine. Blocking: call from a thread."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runtimed.document.ipynb import NotebookFile, parse_notebook
from runtimed.document.settings_values import Settings
from runtimed.environments.platforms import conda_platform
from runtimed.environments.projects.project_file import ProjectFile
from runtimed.environments.projects.search import find_project_files
from runtimed.environments.resolution import Situation
from runtimed.environments.script_block import CodeCell
from runtimed.errors import NotebookUnreadable

__all__ = [
    "code_cells",
    "gather_situation",
    "project_files_above",
    "read_notebook_file",
    "this_platform",
]


def this_platform() -> str:
    """What conda calls the platform of this interpreter, such as `linux-64`."""
    return conda_platform(sys.platform, platform.machine())


def code_cells(cells: Iterable[tuple[str, str]]) -> tuple[CodeCell, ...]:
    """The code cells among all cells of a notebook, each a type and a source, in their order."""
    return tuple(
        CodeCell(number, source) for number, (kind, source) in enumerate(cells, 1) if kind == "code"
    )


def project_files_above(start: Path) -> tuple[ProjectFile, ...]:
    """The Python project files in the reach of a notebook, or of the folder of one without a file,
    nearest first."""
    return find_project_files(start, home=_home())


def gather_situation(
    snapshot: Mapping[str, Any] | None,
    cells: Iterable[tuple[str, str]],
    start: Path | None,
    settings: Settings,
    *,
    kernel_type: str = "auto",
    env_source: str = "auto",
) -> Situation:
    """Everything that decides about a kernel.

    snapshot, cells: of the notebook as it is now; the cells as type and source. start: its file, or
    the folder that its client works in; None searches for no project.
    """
    return Situation(
        snapshot,
        code_cells(cells),
        () if start is None else project_files_above(start),
        kernel_type=kernel_type,
        env_source=env_source,
        default_runtime=settings.default_runtime,
        default_python_env=settings.default_python_env,
        folder=None if start is None else start if start.is_dir() else start.parent,
        platform=this_platform(),
    )


def read_notebook_file(path: Path) -> NotebookFile:
    """A notebook file, parsed. Raises: NotebookUnreadable, naming the file."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise NotebookUnreadable(f"Cannot access notebook '{path}': it is no regular file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotebookUnreadable(f"Cannot access notebook '{path}': {reason}") from error
    return parse_notebook(data, str(path))


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None
