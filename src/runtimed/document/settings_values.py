"""The user's settings as values: which there are, their defaults, how tolerantly they are read.

Knows neither the document they are shared in nor the file that mirrors them, and imports no CRDT,
so that a client may read settings without one. A setting is addressed by its dotted key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

__all__ = [
    "KEYS",
    "LONGEST_KEEP_ALIVE",
    "Settings",
    "Values",
    "hand_edits",
    "merge_lists",
    "packages",
    "read_json_values",
]

#: Settings by dotted key, each in its one clean form; keys that say nothing are missing.
Values: TypeAlias = Mapping[str, Any]

SHORTEST_KEEP_ALIVE, LONGEST_KEEP_ALIVE = 5, 604_800

_THEMES = ("system", "light", "dark")
_RUNTIMES = {"python": "python", "py": "python", "deno": "deno", "typescript": "deno", "ts": "deno"}
_PYTHON_ENVS = {"uv": "uv", "conda": "conda"}

#: Gives the clean form of a value, None for one that means nothing here.
Clean: TypeAlias = Callable[[Any], Any]


def _theme(value: Any) -> str | None:
    name = _text(value)
    return name.lower() if name is not None and name.lower() in _THEMES else None


def _runtime(value: Any) -> str | None:
    name = _text(value)
    return None if name is None else _RUNTIMES.get(name.lower(), name)


def _python_env(value: Any) -> str | None:
    name = _text(value)
    return None if name is None else _PYTHON_ENVS.get(name.lower(), name)


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _keep_alive(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(max(value, SHORTEST_KEEP_ALIVE), LONGEST_KEEP_ALIVE)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def packages(value: Any) -> tuple[str, ...] | None:
    """A list of requirements; elements that are none are passed over."""
    if not isinstance(value, (list, tuple)):
        return None
    return tuple(text for item in value if (text := _text(item)) is not None)


def _setting(key: str, default: Any, clean: Clean, about: str) -> Any:
    return attrs.field(default=default, metadata={"key": key, "clean": clean, "about": about})


@attrs.frozen
class Settings:
    """The user's settings at one moment.

    Special cases: `default_runtime` and `default_python_env` may be names this version does not
    know; they count as `python` and `uv`.
    Units: keep_alive_secs in seconds, already inside its limits.
    """

    theme: str = _setting("theme", "system", _theme, "Colours of notebook windows.")
    default_runtime: str = _setting(
        "default_runtime", "python", _runtime, "Runtime of new notebooks."
    )
    default_python_env: str = _setting(
        "default_python_env", "uv", _python_env, "Who makes the environments of new notebooks."
    )
    keep_alive_secs: int = _setting(
        "keep_alive_secs",
        30,
        _keep_alive,
        "Seconds that a notebook nobody has open keeps its kernel.",
    )
    onboarding_completed: bool = _setting(
        "onboarding_completed", False, _flag, "Whether the first-run questions were answered."
    )
    uv_packages: tuple[str, ...] = _setting(
        "uv.default_packages", (), packages, "Packages that every uv environment has."
    )
    conda_packages: tuple[str, ...] = _setting(
        "conda.default_packages", (), packages, "Packages that every conda environment has."
    )
    conda_channels: tuple[str, ...] = _setting(
        "conda.default_channels", (), packages, "Channels of those who name none, best first."
    )
    autosave: bool = _setting(
        "autosave", True, _flag, "Whether notebook files are written without being asked."
    )
    format_on_save: bool = _setting(
        "format_on_save", False, _flag, "Whether code cells are formatted when somebody saves."
    )

    @classmethod
    def of(cls, values: Values) -> Settings:
        """The settings that these values make; what is missing has its default."""
        return cls(**{NAMES[key]: value for key, value in values.items()})

    def values(self) -> dict[str, Any]:
        """All of them by dotted key."""
        return {key: getattr(self, name) for key, name in NAMES.items()}

    def as_dict(self) -> dict[str, Any]:
        """What `get_settings()` gives, and the handshake's replies carry."""
        return {
            "theme": self.theme,
            "default_runtime": self.default_runtime,
            "default_python_env": self.default_python_env,
            "keep_alive_secs": self.keep_alive_secs,
            "onboarding_completed": self.onboarding_completed,
            "uv": {"default_packages": list(self.uv_packages)},
            "conda": {"default_packages": list(self.conda_packages)},
        }


#: Attribute names of Settings by dotted key, in the order in which documents and files have them.
NAMES: dict[str, str] = {field.metadata["key"]: field.name for field in attrs.fields(Settings)}

#: What there is, by dotted key.
KEYS: dict[str, Clean] = {
    field.metadata["key"]: field.metadata["clean"] for field in attrs.fields(Settings)
}


def read_json_values(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a settings file states, without those it leaves out or misspells.

    Special cases: a section such as `uv` without its list states that the list is empty.
    """
    values = {}
    for key, clean in KEYS.items():
        section, _, member = key.partition(".")
        value = content.get(section)
        if member:
            value = value.get(member, []) if isinstance(value, Mapping) else None
        value = clean(value)
        if value is not None:
            values[key] = value
    return values


def hand_edits(before: Values, now: Values, current: Values) -> dict[str, Any]:
    """What somebody who edited the settings file wants changed in the current settings.

    `before` is what the file said when last seen, `now` what it says. A key that the editor did not
    touch stays as it is, whoever changed it meanwhile; of a list, only the items they added or
    removed are.
    """
    edits = {}
    for key, value in now.items():
        if key in before:
            if before[key] == value:
                continue
            if isinstance(value, tuple):
                value = merge_lists(before[key], value, current[key])
        if current[key] != value:
            edits[key] = value
    return edits


def merge_lists(
    before: tuple[str, ...], theirs: tuple[str, ...], ours: tuple[str, ...]
) -> tuple[str, ...]:
    """Our list with what was added to and removed from theirs since both were the same."""
    if ours == before:
        return theirs
    removed = set(before) - set(theirs)
    kept = [item for item in ours if item not in removed]
    present = {*kept, *before}
    return tuple(kept + [item for item in theirs if item not in present])
