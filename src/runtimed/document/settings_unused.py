"""What of a settings file is not used: values that are not allowed, and keys that nobody knows.

Imports no CRDT, for commands that only look at the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from runtimed.document.settings_values import (
    KEYS,
    LONGEST_KEEP_ALIVE,
    SHORTEST_KEEP_ALIVE,
    Settings,
    Values,
)

__all__ = ["UnusedValue", "unknown_keys", "unused_values"]

#: Characters of a value that are shown.
_SHOWN = 60

_FLAG = "true or false"
_LIST = "a list of texts"
_ALLOWED = {
    "theme": '"system", "light" or "dark"',
    "default_runtime": '"python" or "deno"',
    "default_python_env": '"uv" or "conda"',
    "keep_alive_secs": f"a whole number from {SHORTEST_KEEP_ALIVE} to {LONGEST_KEEP_ALIVE}",
    "onboarding_completed": _FLAG,
    "uv.default_packages": _LIST,
    "conda.default_packages": _LIST,
    "conda.default_channels": _LIST,
    "autosave": _FLAG,
    "format_on_save": _FLAG,
}

#: Names that may be of a later version: they are kept, and count as the default.
_NAMES = {"default_runtime": ("python", "deno"), "default_python_env": ("uv", "conda")}

#: Known, and read by commands alone.
_VIEWER = "viewer"


@attrs.frozen
class UnusedValue:
    """A value that counts for nothing. All are texts for people; `instead` is what is used."""

    key: str
    value: str
    allowed: str
    instead: str


def unused_values(content: Mapping[str, Any], current: Values | None = None) -> list[UnusedValue]:
    """The values of a settings file that are not used.

    current: what the daemon has, by dotted key, which goes on where the file says nothing usable.
    """
    current = Settings().values() if current is None else current
    return list(_unused(content, current))


def _unused(content: Mapping[str, Any], current: Values) -> Iterator[UnusedValue]:
    told = set()
    for key, clean in KEYS.items():
        section, _, member = key.partition(".")
        if section not in content:
            continue
        value = content[section]
        if member:
            if not isinstance(value, Mapping):
                if section not in told:
                    allowed = f'an object such as {{"{member}": []}}'
                    yield UnusedValue(section, _text(value), allowed, _text({member: current[key]}))
                told.add(section)
                continue
            if member not in value:
                continue
            value = value[member]
        cleaned = clean(value)
        if cleaned is None:
            yield UnusedValue(key, _text(value), _ALLOWED[key], _text(current[key]))
        elif isinstance(cleaned, tuple):
            wrong = [item for item in value if not isinstance(item, str) or not item.strip()]
            if wrong:
                items = ", ".join(map(_text, wrong))
                yield UnusedValue(key, items, _ALLOWED[key], f"the rest, {_text(cleaned)}")
        elif cleaned not in _NAMES.get(key, (cleaned,)):
            yield UnusedValue(key, _text(value), _ALLOWED[key], _text(_NAMES[key][0]))
        elif key == "keep_alive_secs" and cleaned != value:
            yield UnusedValue(key, _text(value), _ALLOWED[key], _text(cleaned))
    viewer = content.get(_VIEWER)
    if viewer is not None and not isinstance(viewer, str):
        yield UnusedValue(_VIEWER, _text(viewer), "a command line, as a text", "no viewer")


def unknown_keys(content: Mapping[str, Any]) -> list[str]:
    """The keys, dotted, of a settings file that this version knows nothing of."""
    known = {key.partition(".")[0] for key in KEYS} | {_VIEWER, "$schema"}
    unknown = [key for key in content if key not in known]
    for section in sorted({key.partition(".")[0] for key in KEYS if "." in key}):
        if isinstance(members := content.get(section), Mapping):
            unknown += [f"{section}.{key}" for key in members if f"{section}.{key}" not in KEYS]
    return unknown


def _text(value: Any) -> str:
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
