"""The entries of `[dependencies]` and `[pypi-dependencies]` in a pixi.toml, one at a time. Pure.

An entry becomes a spec or a requirement with everything it says, or an error: nothing is reduced to
its name, since a package of that name elsewhere may be somebody else's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from runtimed.environments.conda_specs import (
    CondaSpec,
    parse_channel,
    parse_conda_spec,
    parse_conda_version,
    spec_from_parts,
)
from runtimed.environments.pip_options import (
    find_links_option,
    index_option,
    index_strategy_option,
    prerelease_option,
)
from runtimed.environments.requirements import parse_requirement
from runtimed.errors import RequirementRefused

__all__ = ["Editable", "Unsupported", "conda_entry", "pypi_entry", "pypi_options"]

_CONDA_KEYS = ("version", "build", "build-number", "channel", "subdir", "md5", "sha256")
_CONDA_SOURCES = ("path", "git", "url", "file-name")
_PYPI_KEYS = frozenset(
    {"version", "extras", "env-markers", "git", "branch", "tag", "rev", "subdirectory"}
    | {"path", "editable", "url"}
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_OPERATOR = re.compile(r"[<>=!~]")
_ARCHIVE = re.compile(r"(?i).*\.(whl|zip|tgz|tar\.\w+)")


class Unsupported(Exception):
    """What an entry asks for and cannot get. `remedy` is a sentence without its full stop."""

    def __init__(self, complaint: object, remedy: str = "Correct it") -> None:
        super().__init__(str(complaint))
        self.remedy = remedy


@attrs.frozen
class Editable:
    """A folder that is installed as it is: an absolute path, perhaps with extras in brackets."""

    text: str


def conda_entry(name: str, value: Any) -> CondaSpec:
    """The spec for one entry of `[dependencies]`. Raises: Unsupported."""
    try:
        if isinstance(value, str):
            if not _NAME.fullmatch(name):
                raise Unsupported(f'"{name}" is no name of a package')
            return parse_conda_spec(f"{name} {value}".strip(), "dependencies")
        table = _table(name, value)
        for key in table:
            if key in _CONDA_SOURCES:
                raise Unsupported(
                    f'{name} has "{key}", and conda packages are taken from channels only',
                    "Name a version and a channel instead, or move it to [pypi-dependencies]",
                )
            if key not in _CONDA_KEYS:
                raise Unsupported(f'"{key}" is not supported for {name}', f'Remove "{key}"')
        version = table.get("version")
        channel = table.get("channel")
        return spec_from_parts(
            name,
            "dependencies",
            version=None if version is None else parse_conda_version(version, f"{name}.version"),
            build=table.get("build"),
            channel=None if channel is None else parse_channel(channel, "channel", local=True),
            others=[
                ("build_number", table.get("build-number")),
                *((key, table.get(key)) for key in ("subdir", "md5", "sha256")),
            ],
        )
    except RequirementRefused as refused:
        raise Unsupported(refused) from None


def pypi_entry(name: str, value: Any, folder: Path) -> str | Editable:
    """The requirement for one entry of `[pypi-dependencies]`. `folder` is the project's.

    Raises: Unsupported.
    """
    try:
        if isinstance(value, str):
            return parse_requirement(name + _specifier(value), "pypi-dependencies").text
        table = _table(name, value)
        if "index" in table:
            raise Unsupported(
                f"{name} is bound to an index, and one index for one package is not supported",
                "Give its address with url, or name the index in [pypi-options]",
            )
        for key in table:
            if key not in _PYPI_KEYS:
                raise Unsupported(f'"{key}" is not supported for {name}', f'Remove "{key}"')
        extras = _extras(name, table.get("extras", []))
        marker = _text(name, table, "env-markers")
        sources = [key for key in ("version", "git", "path", "url") if key in table]
        if len(sources) > 1:
            raise Unsupported(f"{name} has {' and '.join(sources)}", "Keep one of them")
        if sources == ["path"]:
            return _from_path(name, table, extras, marker, folder)
        if table.get("editable"):
            raise Unsupported(f"{name} is editable without a path", 'Remove "editable"')
        if sources == ["git"]:
            where = f" @ {_git_url(name, table)}"
        elif sources == ["url"]:
            where = f" @ {_text(name, table, 'url')}{_subdirectory(name, table)}"
        else:
            where = _specifier(_text(name, table, "version") or "*")
        text = f"{name}{extras}{where}" + (f" ; {marker}" if marker else "")
        return parse_requirement(text, "pypi-dependencies", local_files=True).text
    except RequirementRefused as refused:
        raise Unsupported(refused) from None


def pypi_options(name: str, value: Any, folder: Path) -> list[str]:
    """The options for uv that one key of `[pypi-options]` makes. Raises: Unsupported."""
    try:
        if name == "index-url":
            return [index_option(value)]
        if name == "extra-index-urls":
            return [index_option(url, extra=True) for url in _list(name, value)]
        if name == "find-links":
            places = [one.get("path", one.get("url")) for one in _tables(name, value)]
            return [find_links_option(place, folder) for place in places]
        if name == "index-strategy":
            return [index_strategy_option(value)]
        if name == "prerelease-mode":
            return [prerelease_option(value)]
    except RequirementRefused as refused:
        raise Unsupported(f"pypi-options.{name}: {refused}") from None
    raise Unsupported(f"pypi-options.{name} is not supported", "Remove it")


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unsupported(f"{name} is not a list")
    return value


def _tables(name: str, value: Any) -> list[dict[str, Any]]:
    return [_table(name, one) for one in _list(name, value)]


def _from_path(
    name: str, table: dict[str, Any], extras: str, marker: str | None, folder: Path
) -> str | Editable:
    path = Path(os.path.normpath(folder / (_text(name, table, "path") or ".")))
    parse_requirement(name + extras, "pypi-dependencies")
    if _ARCHIVE.fullmatch(path.name):
        text = f"{name}{extras} @ {path.as_uri()}" + (f" ; {marker}" if marker else "")
        return parse_requirement(text, "pypi-dependencies", local_files=True).text
    if marker:
        raise Unsupported(f"{name} is a folder with a marker", 'Remove "env-markers"')
    if "subdirectory" in table:
        path = Path(os.path.normpath(path / (_text(name, table, "subdirectory") or ".")))
    return Editable(f"{path}{extras}")


def _git_url(name: str, table: dict[str, Any]) -> str:
    url = _text(name, table, "git") or ""
    if scp := re.fullmatch(r"([\w.-]+@[\w.-]+):([^/].*)", url):
        url = f"ssh://{scp[1]}/{scp[2]}"
    references = [key for key in ("rev", "tag", "branch") if key in table]
    if len(references) > 1:
        raise Unsupported(f"{name} has {' and '.join(references)}", "Keep one of them")
    if references:
        url += f"@{quote(_text(name, table, references[0]) or '', safe='/')}"
    return ("" if url.startswith("git+") else "git+") + url + _subdirectory(name, table)


def _subdirectory(name: str, table: dict[str, Any]) -> str:
    folder = _text(name, table, "subdirectory")
    return f"#subdirectory={quote(folder, safe='/')}" if folder else ""


def _specifier(version: str) -> str:
    """PEP 440 for a version as pixi writes it: `1.26.*` alone means `==1.26.*`."""
    version = version.strip()
    if version in ("", "*"):
        return ""
    parts = [part.strip() for part in version.split(",")]
    return ",".join(part if _OPERATOR.match(part) else f"=={part}" for part in parts)


def _extras(name: str, value: Any) -> str:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unsupported(f"extras of {name} is not a list of names")
    return f"[{','.join(value)}]" if value else ""


def _text(name: str, table: dict[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value.isprintable()):
        raise Unsupported(f"{key} of {name} is not a text")
    return value


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unsupported(f'{name} is neither a text such as ">=1.26" nor a table')
    return value
