"""`pyproject.toml`: whether it is a project that uv can run, and what to show of it.

What the project needs is uv's to interpret, when it runs the project. Pure.
"""

from __future__ import annotations

from typing import Any

import attrs

from runtimed.environments.projects.project_file import FileText
from runtimed.environments.toml_text import TomlInvalid, parse_toml

__all__ = ["Pyproject", "parse_pyproject"]


@attrs.frozen
class Pyproject:
    """What a pyproject.toml says. Texts are as they stand in the file, for showing.

    counts: whether it is a project; if not, `why_not` is a sentence's end.
    """

    counts: bool
    why_not: str = ""
    name: str | None = None
    dependencies: tuple[str, ...] = ()
    dev_dependencies: tuple[str, ...] = ()
    requires_python: str | None = None
    index_urls: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def parse_pyproject(file: FileText) -> Pyproject:
    """Read a pyproject.toml.

    Raises: ProjectFileInvalid for broken TOML, and for a project that uv could not run either.
    """
    try:
        content = parse_toml(file.text)
    except TomlInvalid as invalid:
        raise file.refused(invalid, line=invalid.line) from None
    project = content.get("project")
    uv = _table(_table(content, "tool"), "uv")
    groups = _table(content, "dependency-groups")
    if project is not None and not isinstance(project, dict):
        raise file.key_refused(("project",), "project is not a table")
    if uv.get("managed") is False:
        return Pyproject(False, "says tool.uv.managed = false")
    grouped = bool(uv.get("dev-dependencies")) or any(groups.values())
    if project is None and "workspace" not in uv and not grouped:
        return Pyproject(False, "has no [project] table, uv workspace or dependency group")
    if project is not None and not isinstance(project.get("name"), str):
        raise file.key_refused(
            ("project",), "the [project] table has no name", "Give the project a name"
        )
    project = project or {}
    dev = (*_strings(uv.get("dev-dependencies")), *_strings(groups.get("dev")))
    indexes = (
        *_strings([uv.get("index-url")]),
        *_strings(uv.get("extra-index-url")),
        *(url for index in _tables(uv.get("index")) for url in _strings([index.get("url")])),
    )
    requires = project.get("requires-python")
    return Pyproject(
        counts=True,
        name=project.get("name"),
        dependencies=_strings(project.get("dependencies")),
        dev_dependencies=dev,
        requires_python=requires if isinstance(requires, str) else None,
        index_urls=indexes,
        notes=tuple(_notes(content, project)),
    )


def _notes(content: dict[str, Any], project: dict[str, Any]) -> list[str]:
    notes = []
    if "pixi" in _table(content, "tool"):
        notes.append("[tool.pixi] is not read: uv runs the project")
    if optional := _table(project, "optional-dependencies"):
        notes.append(
            f"optional dependencies ({', '.join(sorted(optional))}) are not installed: uv installs "
            "the project's dependencies and its default groups"
        )
    return notes


def _table(content: Any, key: str) -> dict[str, Any]:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, dict) else {}


def _tables(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
