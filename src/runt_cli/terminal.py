"""What depends on where the output goes: colour, tables, the width of a line.

A terminal gets colour and drawn tables; a pipe gets plain aligned text. rich is imported only when
something is drawn.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click

__all__ = ["is_terminal", "show_json", "show_table", "tilde", "uses_colour", "without_colour"]

_CONTROL_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])"
)


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person is looking at this stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def uses_colour(stream: IO[str]) -> bool:
    """Whether colour belongs on this stream: a terminal, unless NO_COLOR or TERM=dumb is set."""
    return (
        is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def without_colour(text: str) -> str:
    """The text less its terminal control sequences."""
    return _CONTROL_SEQUENCE.sub("", text)


def show_json(value: object) -> None:
    """Print a value as JSON, indented by two spaces."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def tilde(path: str) -> str:
    """A path as people write it: `~/...` under the home folder."""
    home = str(Path.home()) if os.environ.get("HOME") else ""
    if home not in ("", "/") and (path == home or path.startswith(home + "/")):
        return "~" + path[len(home) :]
    return path


def show_table(headers: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    """Print a table: drawn for a terminal, aligned columns for a pipe; `-` for a missing value."""
    cells = [[value if value not in (None, "") else "-" for value in row] for row in rows]
    if is_terminal(sys.stdout):
        _draw(headers, cells)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [headers, *cells]:
        line = "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _draw(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colour = uses_colour(sys.stdout)
    table = Table(box=box.ROUNDED, header_style="bold" if colour else "")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(no_color=not colour).print(table)
