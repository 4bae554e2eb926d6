"""How far a notebook has moved away from what its kernel was launched with. Pure.

Entries are compared by what they mean: spelling, order and repetition are no difference, and what
is not said is the same as its default. An entry that can't be parsed, such as one that somebody is
still typing, is compared as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runtimed.environments.conda_specs import (
    CondaSpec,
    parse_channels,
    parse_conda_spec,
    parse_conda_version,
)
from runtimed.environments.requirements import parse_requirement
from runtimed.environments.script_block import CodeCell, find_script_block
from runtimed.environments.wanted import Choice, CondaPackages, DenoRuntime, UvPackages
from runtimed.errors import RequirementRefused, ScriptBlockInvalid
from runtimed.protocol.structures import DenoLaunchedConfig, EnvSyncDiff, LaunchedEnvConfig

__all__ = ["drift", "tracked"]

_CHANNELS = ("conda-forge",)

#: Entries as they are shown, by what they mean.
_Entries = dict[object, str]


def tracked(choice: Choice, default_channels: Sequence[str] = _CHANNELS) -> LaunchedEnvConfig:
    """What to remember of a launch, for `drift`. Pools and projects leave nothing to compare.

    The Python constraint of conda packages is among `conda_deps`, as `python` with its version.
    """
    wanted = choice.wanted
    if isinstance(wanted, DenoRuntime):
        return LaunchedEnvConfig(
            deno_config=DenoLaunchedConfig(
                permissions=wanted.permissions or (),
                import_map=wanted.import_map,
                config=wanted.config,
                flexible_npm_imports=wanted.flexible_npm_imports,
            )
        )
    if isinstance(wanted, UvPackages):
        return LaunchedEnvConfig(uv_deps=wanted.requirements)
    if isinstance(wanted, CondaPackages) and choice.env_source == "conda:inline":
        python = () if wanted.python is None else (f"python {wanted.python}",)
        return LaunchedEnvConfig(
            conda_deps=(*python, *wanted.specs),
            conda_channels=wanted.channels or tuple(default_channels),
        )
    return LaunchedEnvConfig()


def drift(
    launched: LaunchedEnvConfig,
    env_source: str,
    snapshot: Mapping[str, Any] | None,
    cells: Iterable[CodeCell],
    default_channels: Sequence[str] = _CHANNELS,
) -> EnvSyncDiff | None:
    """The difference; empty if there is none.

    launched: what `tracked` gave, with what was installed into the running kernel since.
    snapshot: the notebook's metadata now. cells: its code cells; looked at only for kernels whose
    packages may come from a script block.
    Returns: None if there is nothing to say: the script block that the kernel goes by can't be read
    just now, or the kernel came from a pool or a project and the notebook itself lists nothing. A
    listener who was told of a difference before may then be told that it is gone.
    """
    runt = _section(snapshot, "runt")
    if env_source == "deno":
        return _deno_drift(launched.deno_config, _section(runt, "deno"))
    asked = _Asked(runt, cells)
    try:
        now = asked.by(env_source)
    except ScriptBlockInvalid:
        return None
    if launched.uv_deps is not None:
        then = _uv_entries(launched.uv_deps)
    elif launched.conda_deps is not None:
        then = _conda_entries(launched.conda_deps, ())
    else:
        return EnvSyncDiff(added=tuple(now.values())) if now else None
    return EnvSyncDiff(
        added=tuple(text for meaning, text in now.items() if meaning not in then),
        removed=tuple(text for meaning, text in then.items() if meaning not in now),
        channels_changed=(
            launched.conda_deps is not None
            and bool(asked.conda)
            and _channels(launched.conda_channels or (), default_channels)
            != _channels(_texts(_section(runt, "conda"), "channels"), default_channels)
        ),
    )


class _Asked:
    """What a notebook lists, from each of the three places."""

    def __init__(self, runt: Mapping[str, Any], cells: Iterable[CodeCell]) -> None:
        self.uv = _uv_entries(_texts(_section(runt, "uv"), "dependencies"))
        conda = _section(runt, "conda")
        dependencies = _texts(conda, "dependencies")
        # Without packages there is no conda environment that a constraint could be about.
        python = [conda["python"]] if dependencies and conda.get("python") is not None else []
        self.conda = _conda_entries(dependencies, python)
        self._cells = cells

    def by(self, env_source: str) -> _Entries:
        """What counts for a kernel: the list it was launched from; that list being empty, what a
        launch would go by now.

        Special cases: for a kernel of a script block a list for uv counts as well, for a package
        that was added there is not in the kernel.
        Raises: ScriptBlockInvalid for a kernel of a script block.
        """
        if env_source == "uv:pep723":
            return {**self._block(), **self.uv} or self.conda
        first, second = self.uv, self.conda
        if env_source == "conda:inline":
            first, second = second, first
        if first or second:
            return first or second
        try:
            return self._block()
        except ScriptBlockInvalid:
            return {}

    def _block(self) -> _Entries:
        block = find_script_block(self._cells)
        return _uv_entries(() if block is None else block.dependencies)


def _uv_entries(texts: Iterable[str]) -> _Entries:
    found: _Entries = {}
    for text in texts:
        try:
            meaning = parse_requirement(text).text
        except RequirementRefused:
            meaning = text.strip()
        found.setdefault(("uv", meaning), text)
    return found


def _conda_entries(texts: Iterable[str], pythons: Iterable[object]) -> _Entries:
    """Constraints of the interpreter are one entry, wherever they stand."""
    found: _Entries = {}
    versions: list[str] = []
    for text in texts:
        try:
            spec = parse_conda_spec(text)
        except RequirementRefused:
            found.setdefault(("conda", text.strip()), text)
            continue
        if spec.name == "python" and spec.version_only:
            versions += _conjuncts(spec.version)
        else:
            found.setdefault(_meaning(spec), text)
    for value in pythons:
        try:
            versions += _conjuncts(parse_conda_version(value, fuzzy=True))
        except RequirementRefused:
            versions.append(str(value))
    if versions:
        versions = sorted(set(versions))
        found["conda", "python", frozenset(versions)] = f"python {','.join(versions)}"
    return found


def _meaning(spec: CondaSpec) -> object:
    return (
        "conda",
        spec.name,
        frozenset(_conjuncts(spec.version)),
        spec.build,
        spec.channel,
        spec.others,
    )


def _conjuncts(version: str | None) -> list[str]:
    """The constraints that must hold together: `(>=1|<0),!=2` has two."""
    parts, part, depth = [], "", 0
    for character in version or "":
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and character == "|":  # binds weaker than a comma
            return [version or ""]
        if depth == 0 and character == ",":
            parts.append(part)
            part = ""
        else:
            part += character
    found: list[str] = []
    for constraint in filter(None, (*parts, part)):
        inside = constraint.startswith("(")
        found += _conjuncts(constraint[1:-1]) if inside else [constraint]
    return found


def _channels(texts: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    names = texts or default
    try:
        return parse_channels(names, local=True)
    except RequirementRefused:
        return tuple(dict.fromkeys(name.strip() for name in names))


def _deno_drift(launched: DenoLaunchedConfig | None, section: Mapping[str, Any]) -> EnvSyncDiff:
    then = launched or DenoLaunchedConfig()
    changed = (
        {text.strip() for text in then.permissions}
        != {text.strip() for text in _texts(section, "permissions")}
        or (then.import_map or None) != (section.get("import_map") or None)
        or (then.config or None) != (section.get("config") or None)
        or then.flexible_npm_imports != (section.get("flexible_npm_imports") is not False)
    )
    return EnvSyncDiff(deno_changed=changed)


def _section(parent: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    section = (parent or {}).get(name)
    return section if isinstance(section, Mapping) else {}


def _texts(section: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = section.get(key)
    if not isinstance(values, (list, tuple)):
        return ()
    return tuple(value for value in values if isinstance(value, str))
