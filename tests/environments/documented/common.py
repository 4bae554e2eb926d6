"""What the checks of the documented rows share: their table, and short ways to ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtimed.environments.projects.environment_yml import EnvironmentYml, parse_environment_yml
from runtimed.environments.projects.pixi import PixiProject, parse_pixi
from runtimed.environments.projects.project_file import FileText
from runtimed.environments.resolution import Situation, resolve
from runtimed.environments.script_block import CodeCell
from runtimed.environments.wanted import Choice, CondaPackages, UvPackages
from runtimed.errors import RuntimedError

CHECKS: dict[tuple[str, str], Callable[[], None]] = {}


def row(heading: str, key: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS[heading, key] = check
        return check

    return register


def choice(
    snapshot: dict[str, Any] | None = None, block: str | None = None, **options: Any
) -> Choice:
    cells = [] if block is None else [CodeCell(1, f"# /// script\n{block}\n# ///")]
    return resolve(Situation(snapshot, cells=cells, **options))


def uv(*entries: str, **others: Any) -> dict[str, Any]:
    return {"runt": {"schema_version": "1", "uv": {"dependencies": list(entries), **others}}}


def conda(*entries: str, **others: Any) -> dict[str, Any]:
    return {"runt": {"schema_version": "1", "conda": {"dependencies": list(entries), **others}}}


def specs(*entries: str, **others: Any) -> CondaPackages:
    wanted = choice(conda(*entries, **others)).wanted
    assert isinstance(wanted, CondaPackages)
    return wanted


def requirements(*entries: str, **others: Any) -> UvPackages:
    wanted = choice(uv(*entries, **others)).wanted
    assert isinstance(wanted, UvPackages)
    return wanted


def refuses(message: str, do: Callable[..., object], *arguments: Any, **options: Any) -> None:
    with pytest.raises(RuntimedError, match=message):
        do(*arguments, **options)


def project(text: str, name: str = "pyproject.toml") -> FileText:
    return FileText(Path("/p") / name, text)


HEAD = "[workspace]\nchannels = ['c']\nplatforms = ['linux-64']\n"


def pixi(text: str, head: str = HEAD) -> PixiProject:
    return parse_pixi(project(head + text, "pixi.toml"), "linux-64")


def deps(text: str, table: str = "dependencies") -> CondaPackages:
    return pixi(f"[{table}]\n{text}").wanted


def pypi(text: str) -> str:
    (found,) = deps(text, "pypi-dependencies").pip
    return found


def yml(text: str) -> EnvironmentYml:
    return parse_environment_yml(project(text, "environment.yml"))


def pip(*entries: str) -> CondaPackages:
    lines = "".join(f"    - {entry}\n" for entry in entries)
    return yml(f"dependencies:\n  - pip\n  - pip:\n{lines}").wanted
