"""A choice of environment told in full: what would be installed, and from where. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from runtimed.document.settings_values import Settings
from runtimed.environments.projects.project_file import ProjectFile
from runtimed.environments.projects.pyproject import Pyproject, parse_pyproject
from runtimed.environments.wanted import (
    Choice,
    CondaPackages,
    DenoRuntime,
    Pooled,
    UvPackages,
    UvProject,
)

__all__ = ["explain_choice"]


def explain_choice(
    choice: Choice, project_files: Sequence[ProjectFile], settings: Settings
) -> dict[str, Any]:
    """The choice as JSON.

    Shape: `kernel_type`, `env_source`, `consent`, `origin`, `reasons`, `notes`, and of what would
    be installed whatever there is: `packages` from PyPI, `conda_packages`, `channels`,
    `editable`, `options` for uv, `python`, `prerelease`, `variables`, `project`, `indexes`, `deno`.
    """
    told: dict[str, Any] = {
        "kernel_type": choice.kernel_type,
        "env_source": choice.env_source,
        "consent": choice.consent,
        "origin": None if choice.origin is None else str(choice.origin),
        "reasons": list(choice.reasons),
        "notes": list(choice.notes),
    }
    wanted = choice.wanted
    if isinstance(wanted, Pooled):
        pooled = settings.conda_packages if wanted.kind == "conda" else settings.uv_packages
        told["conda_packages" if wanted.kind == "conda" else "packages"] = list(pooled)
    elif isinstance(wanted, UvPackages):
        told["packages"] = list(wanted.requirements)
        told["python"] = wanted.requires_python
        told["prerelease"] = wanted.prerelease
    elif isinstance(wanted, CondaPackages):
        told["conda_packages"] = list(wanted.specs)
        told["channels"] = list(wanted.channels)
        told["packages"] = list(wanted.pip)
        told["editable"] = list(wanted.editable)
        told["options"] = list(wanted.pip_options)
        told["python"] = wanted.python
        told["variables"] = dict(wanted.variables)
    elif isinstance(wanted, UvProject):
        told |= _project(_pyproject(wanted, project_files))
    elif isinstance(wanted, DenoRuntime):
        told["deno"] = {
            **attrs.asdict(wanted),
            "permissions": None if wanted.permissions is None else list(wanted.permissions),
            "folder": None if wanted.folder is None else str(wanted.folder),
        }
    return told


def _pyproject(wanted: UvProject, files: Sequence[ProjectFile]) -> Pyproject | None:
    for file in files:
        if file.path == wanted.pyproject:
            return parse_pyproject(file.text())
    return None


def _project(pyproject: Pyproject | None) -> dict[str, Any]:
    if pyproject is None:
        return {}
    return {
        "project": pyproject.name,
        "packages": [*pyproject.dependencies, *pyproject.dev_dependencies],
        "python": pyproject.requires_python,
        "indexes": list(pyproject.index_urls),
    }
