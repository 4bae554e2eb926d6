"""`pixi.toml`: the default environment on this platform, as values.

Features, targets and activation variables are put together as pixi does. What cannot be done is an
error that names the key and its line; what changes nothing for a kernel is left out and said. Pure.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from runtimed.environments.conda_specs import parse_channel
from runtimed.environments.platforms import target_selectors
from runtimed.environments.projects.pixi_values import (
    Editable,
    Unsupported,
    conda_entry,
    pypi_entry,
    pypi_options,
)
from runtimed.environments.projects.project_file import FileText
from runtimed.environments.toml_text import TomlInvalid, parse_toml
from runtimed.environments.wanted import CondaPackages
from runtimed.errors import RequirementRefused

__all__ = ["PixiProject", "parse_pixi"]

Key = tuple[str, ...]

_FEATURE_KEYS = {
    *("dependencies", "host-dependencies", "build-dependencies", "pypi-dependencies"),
    *("activation", "target", "channels", "platforms", "channel-priority", "solve-strategy"),
    *("system-requirements", "pypi-options", "tasks", "constraints", "dev"),
}
_TOP_KEYS = (_FEATURE_KEYS - {"channels", "platforms", "channel-priority", "solve-strategy"}) | {
    *("workspace", "project", "feature", "environments", "package", "tool", "$schema"),
}
_TARGET_KEYS = {
    *("dependencies", "host-dependencies", "build-dependencies", "pypi-dependencies"),
    *("activation", "tasks", "constraints", "dev"),
}
_SELECTOR = re.compile(r"unix|linux|osx|win|noarch|(linux|osx|win|freebsd|emscripten|wasi|zos)-\w+")
#: Keys of [workspace] that describe it, or concern tasks and packages that pixi builds.
_ABOUT = {
    *("name", "version", "authors", "description", "license", "license-file", "readme"),
    *("homepage", "repository", "documentation", "channels", "platforms", "channel-priority"),
    *("solve-strategy", "pypi-options", "exclude-newer"),
}
_NOTED = {
    "tasks": "tasks are not run",
    "package": "[package] is not built: only what depends on it installs it",
    "system-requirements": "system-requirements are not used: this machine's own are",
}
_PIXI_ONLY = "Remove it"


@attrs.frozen
class PixiProject:
    """What a pixi.toml asks for. notes: what in it is not used, and why."""

    wanted: CondaPackages
    name: str | None = None
    notes: tuple[str, ...] = ()


def parse_pixi(file: FileText, platform: str) -> PixiProject:
    """Read a pixi.toml, as it is for the default environment on a platform such as `linux-64`.

    Raises: ProjectFileInvalid, naming the key and its line.
    """
    try:
        content = parse_toml(file.text)
    except TomlInvalid as invalid:
        raise file.refused(invalid, line=invalid.line) from None
    return _Pixi(file, content, platform).read()


class _Pixi:
    """Puts the default environment together."""

    def __init__(self, file: FileText, content: dict[str, Any], platform: str) -> None:
        self._file = file
        self._content = content
        self._platform = platform
        self._notes: dict[str, None] = {}  # in their order, each once
        self._specs: dict[str, None] = {}
        self._python: dict[str, None] = {}
        self._pip: dict[str, None] = {}
        self._editable: dict[str, None] = {}
        self._pip_options: dict[str, None] = {}
        self._variables: dict[str, str] = {}
        self._channels: list[tuple[int, str]] = []

    def read(self) -> PixiProject:
        self._check_keys((), self._content, _TOP_KEYS)
        about_key = "workspace" if "workspace" in self._content else "project"
        about = self._table((about_key,), self._content.get(about_key, {}))
        for key in about:
            if key not in _ABOUT:
                self._note(f"{about_key}.{key} is not used")
        for place, feature in self._features():
            if place:
                self._check_keys(place, feature, _FEATURE_KEYS)
                self._settings(place, feature)
            self._feature(place, feature)
        self._settings((about_key,), about)
        if not self._channels and "channels" not in about:
            self._note("it names no channels: the configured ones are used")
        self._channels.sort(key=lambda entry: -entry[0])  # stable: else as they stand
        name = about.get("name")
        return PixiProject(
            CondaPackages(
                specs=tuple(self._specs),
                channels=tuple(dict.fromkeys(channel for _, channel in self._channels)),
                python=",".join(self._python) or None,
                pip=tuple(self._pip),
                editable=tuple(self._editable),
                pip_options=tuple(self._pip_options),
                variables=self._variables,
            ),
            name if isinstance(name, str) else None,
            tuple(self._notes),
        )

    # Which features make the default environment

    def _features(self) -> list[tuple[Key, dict[str, Any]]]:
        """The default environment's features, the default one (the file's own tables) last."""
        defined = self._table(("feature",), self._content.get("feature", {}))
        chosen: list[str] = []
        without_default = False
        environments = self._table(("environments",), self._content.get("environments", {}))
        for name, value in environments.items():
            key = ("environments", name)
            names, bare = self._environment(key, value)
            for feature in names:
                if feature not in defined and feature != "default":
                    raise self._refused(
                        key,
                        f'the environment "{name}" names the feature "{feature}", which is not '
                        "defined",
                        f"Add a table [feature.{feature}], or take it off the list",
                    )
            if name == "default":
                chosen, without_default = names, bare
        others = sorted(set(environments) - {"default"})
        if others:
            self._note(f"of the environments only default is used, not {', '.join(others)}")
        if unused := sorted(set(defined) - set(chosen)):
            self._note(f"features that are not in the default environment: {', '.join(unused)}")
        found: list[tuple[Key, dict[str, Any]]] = [
            (("feature", name), self._table(("feature", name), defined[name]))
            for name in dict.fromkeys(chosen)
            if name != "default"
        ]
        return found if without_default else [*found, ((), self._content)]

    def _environment(self, key: Key, value: Any) -> tuple[list[str], bool]:
        table = {"features": value} if isinstance(value, list) else self._table(key, value)
        self._check_keys(key, table, {"features", "solve-group", "no-default-feature"})
        names = table.get("features", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._refused(key, "features is not a list of names")
        if "solve-group" in table and key[-1] == "default":
            self._note("solve-group is not used: the default environment is solved alone")
        return list(names), table.get("no-default-feature") is True

    # What one feature adds

    def _feature(self, key: Key, feature: dict[str, Any]) -> None:
        for name, note in _NOTED.items():
            if name in feature:
                self._note(note)
        if options := self._table((*key, "pypi-options"), feature.get("pypi-options", {})):
            self._pypi_options((*key, "pypi-options"), options)
        targets = self._table((*key, "target"), feature.get("target", {}))
        applied = [(key, feature)]
        for selector, target in targets.items():
            place = (*key, "target", selector)
            if not _SELECTOR.fullmatch(selector):
                raise self._refused(
                    place, f'"{selector}" is no platform', "Write one such as linux-64, osx or unix"
                )
            self._check_keys(place, self._table(place, target), _TARGET_KEYS)
        ours = target_selectors(self._platform)
        applied += [((*key, "target", name), targets[name]) for name in ours if name in targets]
        if foreign := [name for name in targets if name not in ours]:
            self._note(f"targets that are not this platform: {', '.join(foreign)}")
        conda: dict[str, tuple[Key, Any]] = {}
        pypi: dict[str, tuple[Key, Any]] = {}
        variables: dict[str, str] = {}
        for place, tables in applied:
            for unsupported in ("constraints", "dev"):
                if self._table((*place, unsupported), tables.get(unsupported, {})):
                    raise self._refused(
                        (*place, unsupported), f"[{unsupported}] is not supported", _PIXI_ONLY
                    )
            # As in pixi, what a kernel runs with wins over what builds are made with.
            for table in ("build-dependencies", "host-dependencies", "dependencies"):
                conda.update(self._entries((*place, table), tables))
            pypi.update(self._entries((*place, "pypi-dependencies"), tables))
            variables.update(self._activation((*place, "activation"), tables))
        self._variables = {**variables, **self._variables}  # the feature named first wins
        for name, (place, value) in conda.items():
            self._add_conda(name, place, value)
        for name, (place, value) in pypi.items():
            self._add_pypi(name, place, value)

    def _entries(self, place: Key, tables: dict[str, Any]) -> dict[str, tuple[Key, Any]]:
        entries = self._table(place, tables.get(place[-1], {}))
        return {name: ((*place, name), value) for name, value in entries.items()}

    def _add_conda(self, name: str, place: Key, value: Any) -> None:
        try:
            spec = conda_entry(name, value)
        except Unsupported as problem:
            raise self._refused(place, problem, problem.remedy) from None
        if spec.name == "python" and spec.version_only:
            if spec.version is not None:
                either = "|" in spec.version
                self._python[f"({spec.version})" if either else spec.version] = None
        else:
            self._specs[spec.text] = None

    def _add_pypi(self, name: str, place: Key, value: Any) -> None:
        try:
            found = pypi_entry(name, value, self._file.path.parent)
        except Unsupported as problem:
            raise self._refused(place, problem, problem.remedy) from None
        if isinstance(found, Editable):
            if not (isinstance(value, dict) and value.get("editable")):
                self._note(f"{name} is installed from its folder as if it were editable")
            self._editable[found.text] = None
        else:
            self._pip[found] = None

    def _activation(self, place: Key, tables: dict[str, Any]) -> dict[str, str]:
        activation = self._table(place, tables.get("activation", {}))
        self._check_keys(place, activation, {"scripts", "env"})
        if activation.get("scripts"):
            raise self._refused(
                (*place, "scripts"),
                "activation scripts are not run",
                "Set what they set under [activation.env], and remove them",
            )
        root = str(self._file.path.parent)
        variables = {}
        for name, value in self._table((*place, "env"), activation.get("env", {})).items():
            key = (*place, "env", name)
            if not isinstance(value, str) or "\0" in value:
                raise self._refused(key, f"the variable {name} is not a text")
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise self._refused(key, f'"{name}" is not the name of a variable')
            value = re.sub(r"\$(PIXI_PROJECT_ROOT\b|\{PIXI_PROJECT_ROOT\})", lambda _: root, value)
            if "$" in value:
                raise self._refused(
                    key,
                    f"the variable {name} refers to another one, and only $PIXI_PROJECT_ROOT is "
                    "known here",
                    "Write its value out",
                )
            variables[name] = value
        return variables

    # What [workspace] and features have in common

    def _settings(self, key: Key, table: dict[str, Any]) -> None:
        self._add_channels((*key, "channels"), table.get("channels", []))
        platforms = table.get("platforms")
        if platforms is not None and self._platform not in self._listed(
            (*key, "platforms"), platforms
        ):
            raise self._refused(
                (*key, "platforms"),
                f"platforms does not list {self._platform}, which this machine is",
                f'Add "{self._platform}"',
            )
        if table.get("channel-priority", "strict") != "strict":
            self._note("channel-priority is not used: it is strict")
        if table.get("solve-strategy", "highest") != "highest":
            raise self._refused(
                (*key, "solve-strategy"),
                "only the highest versions can be solved for",
                _PIXI_ONLY,
            )
        if "exclude-newer" in table:
            raise self._refused(
                (*key, "exclude-newer"),
                "packages cannot be chosen by their date",
                "Remove it, and name the versions",
            )
        if len(key) == 1 and "pypi-options" in table:
            place = (*key, "pypi-options")
            self._pypi_options(place, self._table(place, table["pypi-options"]))

    def _add_channels(self, place: Key, value: Any) -> None:
        if not isinstance(value, list):
            raise self._refused(place, "channels is not a list")
        for entry in value:
            priority = 0
            if isinstance(entry, dict):
                self._check_keys(place, entry, {"channel", "priority"})
                priority = entry.get("priority", 0)
                if not isinstance(priority, int):
                    raise self._refused(place, "the priority of a channel is not a number")
                entry = entry.get("channel")
            try:
                self._channels.append((priority, parse_channel(entry, local=True)))
            except RequirementRefused as refused:
                raise self._refused(place, refused) from None

    def _pypi_options(self, place: Key, options: dict[str, Any]) -> None:
        for name, value in options.items():
            try:
                found = pypi_options(name, value, self._file.path.parent)
            except Unsupported as problem:
                raise self._refused((*place, name), problem, problem.remedy) from None
            self._pip_options.update(dict.fromkeys(found))

    # Reading

    def _table(self, place: Key, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._refused(place, f"{'.'.join(place)} is not a table")
        return value

    def _listed(self, place: Key, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._refused(place, f"{'.'.join(place)} is not a list of texts")
        return value

    def _check_keys(self, place: Key, table: dict[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                raise self._refused(
                    (*place, key), f'"{".".join((*place, key))}" is not supported', _PIXI_ONLY
                )

    def _refused(self, place: Key, complaint: object, remedy: str = "Correct it") -> Exception:
        return self._file.key_refused(place, complaint, remedy)

    def _note(self, note: str) -> None:
        self._notes[note] = None
