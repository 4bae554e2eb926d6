"""`environment.yml`: what conda would install from it, as values. Pure."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from runtimed.environments.conda_specs import CondaSpec, parse_channel, parse_conda_spec
from runtimed.environments.pip_options import BY_NAME
from runtimed.environments.projects.project_file import FileText
from runtimed.environments.projects.yaml_tree import (
    is_empty,
    line_of,
    mapping,
    quoted,
    scalar,
    sequence,
    yaml_tree,
)
from runtimed.environments.requirements import parse_requirement
from runtimed.environments.wanted import CondaPackages
from runtimed.errors import RequirementRefused

if TYPE_CHECKING:
    from yaml import Node

__all__ = ["EnvironmentYml", "parse_environment_yml"]

_NOTED = {
    "prefix": "prefix is not used: the environment lies in our cache",
    "name": "name is only shown: the environment is built from this file, not found by its name",
}
_ARCHIVE = re.compile(r"(?i).*\.(whl|zip|tgz|tar\.\w+)")


@attrs.frozen
class EnvironmentYml:
    """What an environment.yml asks for. notes: what in it is not used, and why."""

    wanted: CondaPackages
    name: str | None = None
    notes: tuple[str, ...] = ()


def parse_environment_yml(file: FileText) -> EnvironmentYml:
    """Read an environment.yml.

    Raises: ProjectFileInvalid for broken YAML and for what can't be done; it names the line.
    """
    root = mapping(file, yaml_tree(file), "the file")
    name = scalar(root["name"][0]) if "name" in root else None
    known = {"name", "channels", "dependencies", "prefix", "variables"}
    for key, (_, line) in root.items():
        if key not in known:
            raise file.refused(
                f"{quoted(key)} is not supported in an environment.yml", "Remove it", line=line
            )
    notes = [_NOTED[key] for key in ("name", "prefix") if key in root]
    if "dependencies" not in root or is_empty(root["dependencies"][0]):
        called = "it" if name is None else f"it names the environment {quoted(name)} but"
        raise file.refused(
            f"{called} lists no dependencies",
            "List under dependencies what the notebook needs",
            line=root["dependencies"][1] if "dependencies" in root else None,
        )
    packages = _Packages(file)
    for node in sequence(file, root["dependencies"][0], "dependencies"):
        packages.add(node)
    channels: tuple[str, ...] = ()
    without_defaults = False
    if "channels" in root and not is_empty(root["channels"][0]):
        channels, without_defaults = _channels(file, root["channels"][0])
    if not channels and not without_defaults:
        notes.append("it names no channels: the configured ones are used")
    variables: dict[str, str] = {}
    if "variables" in root and not is_empty(root["variables"][0]):
        variables = _variables(file, root["variables"][0])
    wanted = CondaPackages(
        specs=tuple(dict.fromkeys(packages.specs)),
        channels=channels,
        python=",".join(packages.python) or None,
        pip=tuple(dict.fromkeys(packages.pip)),
        editable=tuple(dict.fromkeys(packages.editable)),
        pip_options=tuple(dict.fromkeys(packages.pip_options)),
        variables=variables,
    )
    return EnvironmentYml(wanted, name, tuple(notes))


class _Packages:
    """Collects the entries of `dependencies`."""

    def __init__(self, file: FileText) -> None:
        self._file = file
        self.specs: list[str] = []
        self.python: list[str] = []
        self.pip: list[str] = []
        self.editable: list[str] = []
        self.pip_options: list[str] = []

    def add(self, node: Node) -> None:
        if (text := scalar(node)) is not None:
            self._add_spec(text, line_of(node))
            return
        for key, (value, line) in mapping(self._file, node, "an entry of dependencies").items():
            if key != "pip":
                raise self._file.refused(
                    f"{quoted(key)} is not supported in dependencies: an entry is a conda spec or "
                    "a list under pip",
                    line=line,
                )
            if not is_empty(value):
                for item in sequence(self._file, value, "pip"):
                    self._add_pip(item)

    def _add_spec(self, text: str, line: int) -> None:
        try:
            spec: CondaSpec = parse_conda_spec(text)
        except RequirementRefused as refused:
            raise self._file.refused(refused, line=line) from None
        if spec.name == "python" and spec.version_only:
            if spec.version is not None:
                alternative = "|" in spec.version
                self.python.append(f"({spec.version})" if alternative else spec.version)
        else:
            self.specs.append(spec.text)

    def _add_pip(self, node: Node) -> None:
        text, line = scalar(node), line_of(node)
        if text is None or not text.isprintable():
            raise self._file.refused("an entry of pip is not a plain text", line=line)
        text = re.sub(r"\s+#.*", "", text).strip()
        option = re.fullmatch(r"(-[A-Za-z]|--[a-z-]+)[\s=]*(.*)", text)
        if option is not None and option[1] in ("-e", "--editable"):
            self.editable.append(self._folder(option[2], line))
        elif option is not None and (known := BY_NAME.get(option[1])) is not None:
            try:
                self.pip_options.append(known(option[2], self._file.path.parent))
            except RequirementRefused as refused:
                raise self._file.refused(refused, line=line) from None
        elif option is not None:
            raise self._file.refused(
                f"{quoted(text)} is an option of pip that is not supported here",
                _instead_of(option[1]),
                line=line,
            )
        elif re.match(r"\.{0,2}/|\.{1,2}(\[|$)", text):
            path, extras = self._path(text)
            if _ARCHIVE.fullmatch(path):
                raise self._file.refused(
                    f"{quoted(text)} is a file without a name",
                    f'Write "NAME @ {Path(path).as_uri()}"',
                    line=line,
                )
            self.editable.append(path + extras)
        else:
            try:
                self.pip.append(parse_requirement(text, "pip", local_files=True).text)
            except RequirementRefused as refused:
                raise self._file.refused(refused, line=line) from None

    def _folder(self, text: str, line: int) -> str:
        if not text or "://" in text or text.startswith("-"):
            raise self._file.refused(
                f"-e {text} does not name a folder", 'Write "NAME @ URL" without -e', line=line
            )
        path, extras = self._path(text)
        return path + extras

    def _path(self, text: str) -> tuple[str, str]:
        """An absolute path, and its extras in brackets."""
        split = re.fullmatch(r"(.*?)(\[[\w\s,.-]*\])?", text, re.DOTALL)
        assert split is not None
        path = os.path.normpath(self._file.path.parent / split[1].strip())
        return path, (split[2] or "").replace(" ", "")


def _instead_of(option: str) -> str:
    if option in ("-r", "--requirement", "-c", "--constraint"):
        return "List the requirements themselves under pip"
    return "Remove it"


def _channels(file: FileText, node: Node) -> tuple[tuple[str, ...], bool]:
    """The channels, and whether `nodefaults` is among the entries."""
    found: list[str] = []
    for item in sequence(file, node, "channels"):
        text = scalar(item)
        if text != "nodefaults":
            try:
                found.append(parse_channel(text, local=True))
            except RequirementRefused as refused:
                raise file.refused(refused, line=line_of(item)) from None
    without = any(scalar(item) == "nodefaults" for item in sequence(file, node, "channels"))
    return tuple(dict.fromkeys(found)), without


def _variables(file: FileText, node: Node) -> dict[str, str]:
    found = {}
    for key, (value, line) in mapping(file, node, "variables").items():
        text = scalar(value)
        if text is None or re.search("[\0\ud800-\udfff]", text):
            raise file.refused(f"the variable {quoted(key)} is not a text", line=line)
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise file.refused(f"{quoted(key)} is not the name of a variable", line=line)
        found[key] = text
    return found
