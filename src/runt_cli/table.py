"""Tables that fit: which columns a line of a given width has room for, and how they are written.

Pure: cells and a width in, lines out. What the width is, and whether anything is drawn at all, is
`terminal`'s to say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

import attrs

__all__ = ["Column", "drawn", "plain", "printable", "shortened", "width_of"]

#: Characters of a column that may be shortened which are left of it, unless it gives more.
_SHORTEST = 8

#: Characters that a frame takes for each column, and once more.
_FRAME, _EDGE = 3, 1

_ELLIPSIS = "…"


@attrs.frozen
class Column:
    """A column of a table.

    rank: of how little use it is; where there is no room the highest goes first. Without one the
        columns go from right to left, before those with a rank.
    shorten: what of a text may be left out: its end, or of a path its beginning; None when it is
        of use only whole.
    shortest: what a shortened column keeps at least, in characters.
    """

    header: str
    rank: int | None = None
    shorten: Literal["end", "path"] | None = None
    shortest: int = _SHORTEST
    right: bool = False


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned text, complete, however wide it is."""
    table = [[column.header for column in columns], *rows]
    widths = [max(map(width_of, cells)) for cells in zip(*table, strict=True)]
    return [
        "  ".join(map(_filled, row, widths, [column.right for column in columns])).rstrip()
        for row in table
    ]


def drawn(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[str], list[str], list[str]]:
    """A table with a frame in at most `width` characters: its top with the headers, its rows, its
    bottom. Texts are shortened and columns left out until it fits."""
    natural = [
        max(map(width_of, cells))
        for cells in zip([column.header for column in columns], *rows, strict=True)
    ]
    shown = _with_room(columns, natural, width)
    widths = _fitted(columns, natural, shown, width - _EDGE - _FRAME * len(shown))

    def line(cells: Sequence[str]) -> str:
        texts = [
            _filled(
                shortened(cells[i], widths[i], path=columns[i].shorten == "path"),
                widths[i],
                columns[i].right,
            )
            for i in shown
        ]
        return "│ " + " │ ".join(texts) + " │"

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (widths[i] + 2) for i in shown) + right

    head = [rule("╭", "┬", "╮"), line([column.header for column in columns])]
    return [*head, rule("├", "┼", "┤")], [line(row) for row in rows], [rule("╰", "┴", "╯")]


def _least(column: Column, natural: int) -> int:
    if column.shorten is None:
        return natural
    return min(natural, max(column.shortest, width_of(column.header)))


def _with_room(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    """The columns that fit when each is as short as it may be; one stays in any case."""
    ranks = [
        len(columns) + i if column.rank is None else column.rank for i, column in enumerate(columns)
    ]
    shown = list(range(len(columns)))
    while len(shown) > 1:
        needed = sum(_least(columns[i], natural[i]) + _FRAME for i in shown) + _EDGE
        if needed <= width:
            break
        shown.remove(max(shown, key=lambda i: (ranks[i], i)))
    return shown


def _fitted(
    columns: Sequence[Column], natural: Sequence[int], shown: Sequence[int], room: int
) -> dict[int, int]:
    """The width of each shown column: the widest give first, each down to its least."""
    widths = {i: natural[i] for i in shown}
    while sum(widths.values()) > room:
        gives = [i for i in shown if widths[i] > _least(columns[i], natural[i])]
        if not gives:
            only = max(widths, key=lambda i: widths[i])
            widths[only] = max(1, widths[only] - sum(widths.values()) + room)
            break
        widest = max(gives, key=lambda i: widths[i])
        others = [widths[i] for i in gives if i != widest]
        floor = max(_least(columns[widest], natural[widest]), max(others, default=0) - 1)
        excess = sum(widths.values()) - room
        widths[widest] = max(min(floor, widths[widest] - 1), widths[widest] - excess)
    return widths


def shortened(text: str, width: int, *, path: bool = False) -> str:
    """A text of at most so many columns, with an ellipsis for what is left out: its end, of a path
    its first folders, and only then the end of the file's name."""
    if width_of(text) <= width:
        return text
    if path and "/" in text:
        folders = text.split("/")
        for number in range(1, len(folders)):
            rest = "/".join([_ELLIPSIS, *folders[number:]])
            if width_of(rest) <= width:
                return rest
        text = folders[-1]
        if width_of(text) <= width:
            return text
    kept = text[:width]
    while kept and width_of(kept) > width - 1:
        kept = kept[:-1]
    return kept.rstrip() + _ELLIPSIS


def printable(text: str) -> str:
    """A text in one line that does nothing to a terminal: what can't be seen is spelt out."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _filled(text: str, width: int, right: bool) -> str:
    space = " " * (width - width_of(text))
    return space + text if right else text + space
