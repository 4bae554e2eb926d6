"""What depends on where the output goes: colour, tables, the width of a line.

A terminal gets colour and drawn tables; a pipe gets plain aligned text.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runt_cli.table import Column

__all__ = [
    "is_terminal",
    "say",
    "show_json",
    "show_table",
    "tilde",
    "uses_colour",
    "without_colour",
]

_CONTROL_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])"
)

#: What tables are drawn with, and shortened texts end with.
_FRAME = "╭╮╰╯├┤┬┴┼─│…"


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person is looking at this stream; None is one that was closed from the start."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def uses_colour(stream: IO[str] | None) -> bool:
    """Whether colour belongs on this stream: a terminal, unless NO_COLOR or TERM=dumb is set."""
    return (
        is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def without_colour(text: str) -> str:
    """The text less its terminal control sequences."""
    return _CONTROL_SEQUENCE.sub("", text)


def show_json(value: object) -> None:
    """Print a value as JSON, indented by two spaces.

    Names of files and variables need be no Unicode; what can't be in JSON is spelt out.
    """
    import orjson

    try:
        content = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        content = orjson.dumps(_as_unicode(value), option=orjson.OPT_INDENT_2)
    click.echo(content.decode())


def _as_unicode(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_as_unicode(key): _as_unicode(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_unicode(each) for each in value]
    return value


def say(text: str, *, err: bool = False) -> None:
    """Print one line that does nothing to a terminal but be read.

    Names, paths and reasons come from others: what they hold that can't be seen is spelt out.
    """
    from runt_cli.table import printable

    click.echo(printable(text), err=err)


def tilde(path: str) -> str:
    """A path as people write it: `~/...` under the home folder."""
    home = str(Path.home()) if os.environ.get("HOME") else ""
    if home not in ("", "/") and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


def show_table(columns: Sequence[Column | str], rows: Sequence[Sequence[str | None]]) -> None:
    """Print a table; `-` for a missing value.

    A pipe gets aligned text, all of it. A terminal gets a drawn table as wide as itself: texts are
    shortened and columns left out, as the columns say, until it fits.
    """
    from runt_cli.table import Column, drawn, plain, printable

    described = [Column(each, shorten="end") if isinstance(each, str) else each for each in columns]
    cells = [[printable(text) if text else "-" for text in row] for row in rows]
    if not (is_terminal(sys.stdout) and _can_show(_FRAME)):
        for line in plain(described, cells):
            click.echo(line)
        return
    width = shutil.get_terminal_size().columns
    (top, headers, rule), lines, (bottom,) = drawn(described, cells, width)
    if uses_colour(sys.stdout):
        headers = re.sub(r"[^│]+", lambda cell: click.style(cell[0], bold=True), headers)
    for line in (top, headers, rule, *lines, bottom):
        click.echo(line)


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
