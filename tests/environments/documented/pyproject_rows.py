"""What the page says of pyproject.toml and Deno's configuration."""

from __future__ import annotations

from documented.common import (
    project,
    refuses,
    row,
)
from runtimed.environments.projects.deno_config import DenoConfig, parse_deno_config
from runtimed.environments.projects.pyproject import Pyproject, parse_pyproject

PYPROJECT = "pyproject.toml"
UV = "[project]\nname = 'p'\n"


def pyproject(text: str) -> Pyproject:
    return parse_pyproject(project(text))


@row(PYPROJECT, "`[project]`")
def _() -> None:
    assert pyproject(UV).counts
    refuses(r"line 1: the \[project\] table has no name", pyproject, "[project]\nversion = '1'")


@row(PYPROJECT, "`[tool.uv.workspace]`")
def _() -> None:
    assert pyproject("[tool.uv.workspace]\nmembers = ['a']").counts


@row(PYPROJECT, "`[dependency-groups]`, `tool.uv.dev-dependencies`")
def _() -> None:
    assert pyproject("[dependency-groups]\ndev = ['a']").dev_dependencies == ("a",)
    assert pyproject("[tool.uv]\ndev-dependencies = ['b']").dev_dependencies == ("b",)
    assert not pyproject("[tool.uv]\ndev-dependencies = []\n[dependency-groups]").counts


@row(PYPROJECT, "`tool.uv.managed = false`")
def _() -> None:
    assert not pyproject(UV + "[tool.uv]\nmanaged = false").counts


@row(PYPROJECT, "none of these")
def _() -> None:
    assert not pyproject("[tool.ruff]\n[build-system]\nrequires = ['hatchling']").counts


@row(PYPROJECT, "`project.dependencies`")
def _() -> None:
    assert pyproject(UV + "dependencies = ['a>=1']").dependencies == ("a>=1",)


@row(PYPROJECT, "`project.requires-python`")
def _() -> None:
    assert pyproject(UV + "requires-python = '>=3.9'").requires_python == ">=3.9"


@row(PYPROJECT, "`project.optional-dependencies`")
def _() -> None:
    notes = pyproject(UV + "[project.optional-dependencies]\nx = ['a']").notes
    assert notes[0].startswith("optional dependencies (x) are not installed")


@row(PYPROJECT, "`tool.uv.sources`")
def _() -> None:
    assert pyproject(UV + "[tool.uv.sources]\na = { path = 'a' }").notes == ()


@row(PYPROJECT, "`tool.uv.index`, `tool.uv.index-url`, `tool.uv.extra-index-url`")
def _() -> None:
    text = "[tool.uv]\nindex-url = 'a'\nextra-index-url = ['b']\n[[tool.uv.index]]\nurl = 'c'"
    assert pyproject(UV + text).index_urls == ("a", "b", "c")


@row(PYPROJECT, "`[tool.pixi]`")
def _() -> None:
    notes = pyproject(UV + "[tool.pixi.workspace]\nchannels = []").notes
    assert notes == ("[tool.pixi] is not read: uv runs the project",)


@row(PYPROJECT, "broken TOML")
def _() -> None:
    refuses(r"^/p/pyproject\.toml, line 2: .*uv:prewarmed", pyproject, "[project]\nname = x")


DENO = "deno.json, deno.jsonc"


def deno(text: str) -> DenoConfig:
    return parse_deno_config(project(text, "deno.jsonc"))


@row(DENO, "`name`, `importMap`")
def _() -> None:
    assert deno('{"name": "n", "importMap": "m"}') == DenoConfig("n", "m")


@row(DENO, "`imports`, `tasks`")
def _() -> None:
    assert deno('{"imports": {}, "tasks": {}}') == DenoConfig(has_imports=True, has_tasks=True)


@row(DENO, "any other key")
def _() -> None:
    assert deno('{"compilerOptions": {}}') == DenoConfig()


@row(DENO, "comments and closing commas")
def _() -> None:
    text = '{ // a\n "name": "a // b /* c */, ]", /* d\n */ "tasks": [1, 2,],\n}'
    assert deno(text) == DenoConfig("a // b /* c */, ]", has_tasks=True)


@row(DENO, "broken JSON")
def _() -> None:
    refuses(r"^/p/deno\.jsonc, line 3: ", deno, '{\n/* \n*/ "a" 1}')
