"""Which of the project files that were found decides, and what it makes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from runtimed.environments.projects.environment_yml import parse_environment_yml
from runtimed.environments.projects.pixi import parse_pixi
from runtimed.environments.projects.project_file import ProjectFile, ProjectKind
from runtimed.environments.projects.pyproject import parse_pyproject
from runtimed.environments.wanted import CondaPackages, EnvSource, UvProject
from runtimed.errors import RuntimedError

__all__ = ["Found", "Project", "choose_project", "named_project"]

_SOURCES: dict[ProjectKind, EnvSource] = {
    "pyproject": "uv:pyproject",
    "pixi": "conda:pixi",
    "environment_yml": "conda:env_yml",
}
_NAMES = {
    "uv:pyproject": "pyproject.toml",
    "conda:pixi": "pixi.toml",
    "conda:env_yml": "environment.yml",
}


@attrs.frozen
class Project:
    """A project file that decides. `why` is a sentence."""

    path: Path
    env_source: EnvSource
    wanted: UvProject | CondaPackages
    why: str
    notes: tuple[str, ...] = ()


@attrs.frozen
class Found:
    """The project file that decides, if one does, and sentences about those nearer by."""

    chosen: Project | None
    passed_over: tuple[str, ...] = ()


def choose_project(files: Sequence[ProjectFile], platform: str) -> Found:
    """The nearest file that is a project; `files` are nearest first.

    Raises: ProjectFileInvalid if that file can't be used: a farther one is no substitute.
    """
    passed_over: list[str] = []
    for file in files:
        if file.kind not in _SOURCES:
            continue
        found = _read(file, platform)
        if isinstance(found, Project):
            return Found(found, tuple(passed_over))
        passed_over.append(found)
    return Found(None, tuple(passed_over))


def named_project(env_source: str, files: Sequence[ProjectFile], platform: str) -> Project:
    """The nearest project file of the kind that a label names.

    Raises: RuntimedError with the remedy if there is none; ProjectFileInvalid.
    """
    ours = [file for file in files if _SOURCES.get(file.kind) == env_source]
    found = choose_project(ours, platform)
    if found.chosen is not None:
        return found.chosen
    name = _NAMES[env_source]
    others = [file for file in files if file.kind in _SOURCES and file not in ours]
    hint = f" ({others[0].path} is there: ask for {_SOURCES[others[0].kind]})" if others else ""
    seen = f" {' '.join(found.passed_over)}" if found.passed_over else ""
    raise RuntimedError(
        f'No {name} found for the requested env_source "{env_source}", from the notebook\'s '
        f"folder up to the repository or home{hint}.{seen} Save the notebook inside the project, "
        'add the file, or start the kernel with env_source="auto"'
    )


def _read(file: ProjectFile, platform: str) -> Project | str:
    """The project, or a sentence why the file is none."""
    source = _SOURCES[file.kind]
    if file.kind == "pyproject":
        pyproject = parse_pyproject(file.text())
        if not pyproject.counts:
            return f"{file.path} is passed over: it {pyproject.why_not}."
        called = f' "{pyproject.name}"' if pyproject.name else ""
        why = f"The nearest project file is {file.path}: uv runs the project{called}."
        return Project(file.path, source, UvProject(file.path), why, pyproject.notes)
    text = file.text()
    parsed = parse_pixi(text, platform) if file.kind == "pixi" else parse_environment_yml(text)
    called = f' "{parsed.name}"' if parsed.name else ""
    why = f"The nearest project file is {file.path}: its environment{called} is built."
    return Project(file.path, source, parsed.wanted, why, parsed.notes)
