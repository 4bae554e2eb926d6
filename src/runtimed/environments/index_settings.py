"""Where uv gets packages from, as part of what tells environments apart.

The same list means other packages elsewhere, so daemons with other settings share nothing. Who may
ask an index is not where it is: names and passwords in addresses are left out, so that they are
nowhere to be found and a new one needs no new environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import orjson

from runtimed.environments.toml_text import TomlInvalid, parse_toml
from runtimed.environments.uv import uv_environ

__all__ = ["index_settings"]

_VARIABLES = (
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_URL",
    "UV_NO_INDEX",
)
_KEYS = tuple(name.removeprefix("UV_").lower().replace("_", "-") for name in _VARIABLES)

_CREDENTIALS = re.compile(r'(?<=://)[^/\s"]*@')
_LAST_SLASH = re.compile(r'/+(?=$|[\s,"])')


def index_settings(environ: Mapping[str, str] = os.environ) -> list[str]:
    """One text for each variable and each key of the user's uv.toml; none where nothing is set.

    Reads the file: call it from a thread.
    """
    found = [
        f"{name}={_normal(environ[name])}" for name in _VARIABLES if environ.get(name, "").strip()
    ]
    return found + _of_file(uv_environ(environ).get("UV_CONFIG_FILE"))


def _of_file(path: str | None) -> list[str]:
    try:
        table = parse_toml(Path(path).read_text()) if path else {}
    except (OSError, ValueError, TomlInvalid):
        return []  # uv will say what is wrong with it
    pip = table.get("pip")
    sections = {"": table, "pip.": pip if isinstance(pip, dict) else {}}
    return [
        f"{section}{key}={_normal(orjson.dumps(values[key], default=str).decode())}"
        for section, values in sections.items()
        for key in _KEYS
        if key in values
    ]


def _normal(text: str) -> str:
    return _LAST_SLASH.sub("", _CREDENTIALS.sub("", " ".join(text.split())))
