"""The project files that a notebook lies in the reach of, nearest first.

Blocking look-ups of files: called from a thread. Folders are climbed by their names and links are
not followed upwards, so no cycle of links can hold the search up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from runtimed.environments.projects.project_file import FILE_NAMES, ProjectFile, ProjectKind

__all__ = ["LARGEST", "PYTHON_KINDS", "find_project_files"]

PYTHON_KINDS: tuple[ProjectKind, ...] = ("pyproject", "pixi", "environment_yml")

#: Bytes; a project file that is larger is an error.
LARGEST = 256 * 1024


def find_project_files(
    start: Path, kinds: Collection[ProjectKind] = PYTHON_KINDS, *, home: Path | None = None
) -> tuple[ProjectFile, ...]:
    """All project files of these kinds from `start` up: the nearest folder first, and in it as in
    FILE_NAMES. `start` is a folder, or a file in the first folder.

    The home folder, and one with an entry `.git`, are the last that are looked into.
    Special cases: what can't be looked into counts as empty; a file that is there and can't be read
    is found, with its problem.
    """
    return tuple(_found(start, kinds, home))


def _found(start: Path, kinds: Collection[ProjectKind], home: Path | None) -> Iterator[ProjectFile]:
    folder = Path(os.path.abspath(start))  # noqa: PTH100  # resolves no link
    if _is(folder, stat.S_ISREG) or not _is(folder, stat.S_ISDIR):
        folder = folder.parent
    for level in (folder, *folder.parents):
        for name, kind in FILE_NAMES.items():
            # A folder or a pipe of that name is no project file, and a pipe would hold us up.
            if kind in kinds and _is(level / name, stat.S_ISREG):
                yield _read(level / name, kind)
        if _exists(level / ".git") or (home is not None and _same(level, home)):
            return


def _read(path: Path, kind: ProjectKind) -> ProjectFile:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        return ProjectFile(path, kind, problem=error.strerror or str(error))
    if len(content) > LARGEST:
        return ProjectFile(path, kind, problem=f"it is larger than {LARGEST} bytes")
    return ProjectFile(path, kind, content)


def _is(path: Path, what: object) -> bool:
    assert callable(what)
    try:
        return bool(what(path.stat().st_mode))
    except (OSError, ValueError):
        return False


def _exists(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    if one == other:
        return True
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
