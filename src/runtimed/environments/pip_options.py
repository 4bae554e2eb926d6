"""Options for uv that a project file may set: where packages come from, and which versions count.

Each is written anew from a value that was checked; nothing of a file is passed on as it is. Lists
in notebooks have no options at all. Pure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from runtimed.environments.requirements import parse_prerelease
from runtimed.errors import RequirementRefused

__all__ = [
    "BY_NAME",
    "find_links_option",
    "index_option",
    "index_strategy_option",
    "prerelease_option",
]

_STRATEGIES = ("first-index", "unsafe-first-match", "unsafe-best-match")


def index_option(value: object, *, extra: bool = False) -> str:
    """The option for an index, in place of the usual one or besides it.

    Raises: RequirementRefused.
    """
    url = _address(value)
    if url is None:
        raise RequirementRefused(
            f"{value!r} is no index: write its https:// address, or file:/// and a folder"
        )
    return f"--{'extra-index-url' if extra else 'index-url'}={url}"


def find_links_option(value: object, folder: Path) -> str:
    """The option for a page or folder with packages; `folder` is the project's.

    Raises: RequirementRefused.
    """
    if (url := _address(value)) is not None:
        return f"--find-links={url}"
    if not isinstance(value, str) or not value.isprintable() or not value or "://" in value:
        raise RequirementRefused(f"{value!r} is neither a folder nor an https:// address")
    return f"--find-links={os.path.normpath(folder / value)}"


def index_strategy_option(value: object) -> str:
    """Raises: RequirementRefused."""
    if value not in _STRATEGIES:
        raise RequirementRefused(f"{value!r} is unknown: it can be {', '.join(_STRATEGIES)}")
    return f"--index-strategy={value}"


def prerelease_option(value: object) -> str:
    """Raises: RequirementRefused."""
    return f"--prerelease={parse_prerelease(value, 'prereleases')}"


def _address(value: object) -> str | None:
    if not isinstance(value, str) or not value.isprintable() or " " in value or "${" in value:
        return None
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme in ("http", "https") and host:
        return value
    return value if parts.scheme == "file" and not host and parts.path.startswith("/") else None


#: By their names in a list for pip; those that are missing are not supported.
Option = Callable[[str, Path], str]
BY_NAME: dict[str, Option] = {
    "-i": lambda value, _: index_option(value),
    "--index-url": lambda value, _: index_option(value),
    "--extra-index-url": lambda value, _: index_option(value, extra=True),
    "-f": find_links_option,
    "--find-links": find_links_option,
}
