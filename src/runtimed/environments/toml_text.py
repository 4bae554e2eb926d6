"""TOML text with the lines that errors name. Pure: text in, values out."""

from __future__ import annotations

import re
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["TomlInvalid", "line_of_key", "parse_toml"]

_PLACE = re.compile(r" ?\(at (?:line (\d+), column \d+|end of document)\)$")


class TomlInvalid(Exception):
    """The text is no TOML. `line` counts from 1; str() is the complaint without it."""

    def __init__(self, complaint: str, line: int) -> None:
        super().__init__(complaint)
        self.line = line


def parse_toml(text: str) -> dict[str, Any]:
    """Raises: TomlInvalid."""
    try:
        table: dict[str, Any] = tomllib.loads(text)
        return table
    except RecursionError:
        raise TomlInvalid("it is nested too deeply", _deepest_line(text)) from None
    except ValueError as error:  # numbers of thousands of digits are no TOMLDecodeError
        complaint = str(error).partition("\n")[0][:200]
        place = _PLACE.search(complaint)
        last = max(1, len(text.splitlines()))
        line = int(place[1]) if place is not None and place[1] else last
        raise TomlInvalid(_PLACE.sub("", complaint) or "it is no TOML", line) from None


def line_of_key(text: str, *path: str) -> int | None:
    """The line on which the value of a key is given, or its table begins; None if not found.

    A look at the text, for error messages: what is written in an unusual way may be missed.
    """
    found: int | None = None
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.match(r"\[\[?([^\[\]]+)\]\]?", stripped):
            table = _dotted(header[1])
            if table == path:
                return number
        elif key := re.match(r"""((?:[\w-]+|"[^"]*"|'[^']*'|\s*\.\s*)+)\s*=""", stripped):
            whole = table + _dotted(key[1])
            if whole == path:
                return number
            if path[: len(whole)] == whole:
                found = number  # an inline table on the way to it
    return found


def _dotted(text: str) -> tuple[str, ...]:
    return tuple(
        piece.strip("\"'") for piece in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", text.strip())
    )


def _deepest_line(text: str) -> int:
    """The line with the most opening brackets: that is where it went too deep."""
    lines = text.splitlines() or [""]
    return 1 + max(range(len(lines)), key=lambda at: lines[at].count("[") + lines[at].count("{"))
