"""One line of terminal text: as it came, or in cells once something was written over it.

Knows columns and styles, but no cursor and no other lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtimed.outputs.text_styles import PLAIN, Style, is_plain, transition

__all__ = ["Line"]


class Line:
    """One line: text as it came, or cells once something was written over.

    A cell is a character with its combining marks; the further columns of a tab or a wide character
    hold empty strings.
    """

    __slots__ = ("chars", "end", "erased", "newline", "raw", "start", "styles")

    def __init__(self, raw: str | None, start: Style, end: Style, newline: str) -> None:
        self.raw = raw
        self.start = start
        self.end = end
        self.newline = newline
        self.chars: list[str] = []
        self.styles: list[Style] | None = None  # None: all plain
        self.erased = False

    @property
    def size(self) -> int:
        return len(self.chars) if self.raw is None else len(self.raw)

    def render(self, style: Style) -> tuple[str, Style]:
        """The line's text after text in `style`, without its newline, and the style it ends in."""
        if self.raw is not None:
            return transition(style, self.start) + self.raw, self.end
        parts = []
        if self.styles is None:
            if self.chars and (sequences := transition(style, PLAIN)):
                parts.append(sequences)
                style = PLAIN
            parts.extend(self.chars)
        else:
            for char, wanted in zip(self.chars, self.styles, strict=True):
                if wanted is not style:
                    parts.append(transition(style, wanted))
                    style = wanted
                parts.append(char)
        parts.append(transition(style, self.end))
        return "".join(parts), self.end

    def put(self, column: int, cells: Sequence[str], style: Style) -> None:
        """Write cells at a column, over what is there, after blanks where nothing is."""
        size = len(self.chars)
        end = column + len(cells)
        if column > size:
            self.chars.extend(" " * (column - size))
        else:
            self._part(column)
            self._part(end)
        if self.styles is None and not is_plain(style):
            self.styles = [PLAIN] * size
        if self.styles is not None:
            self.styles.extend([PLAIN] * (column - size))
            self.styles[column:end] = [style] * len(cells)
        self.chars[column:end] = cells

    def cut(self, start: int, stop: int | None = None) -> None:
        """Take out the cells from start to stop; what follows moves up."""
        self._part(start)
        if stop is not None:
            self._part(stop)
            self._fix_tabs(stop)
        del self.chars[start:stop]
        if self.styles is not None:
            del self.styles[start:stop]
        self.erased = self.erased or not self.chars

    def blank(self, start: int, stop: int) -> None:
        """Make the cells from start to stop blanks; at the end of the line they vanish."""
        if stop >= len(self.chars):
            self.cut(start)
        elif stop > start:
            self.put(start, " " * (stop - start), PLAIN)

    def shift(self, column: int, count: int) -> None:
        """Insert blanks at a column; what follows moves right."""
        if column < len(self.chars):
            self._part(column)
            self._fix_tabs(column)
            self.chars[column:column] = " " * count
            if self.styles is not None:
                self.styles[column:column] = [PLAIN] * count

    def attach(self, column: int, mark: str) -> None:
        """Add a combining mark to the character left of the column."""
        at = min(column, len(self.chars)) - 1
        while at >= 0 and not self.chars[at]:
            at -= 1
        if at >= 0:
            self.chars[at] += mark

    def _fix_tabs(self, start: int) -> None:
        """Make tabs blanks from here on: what follows is going to move."""
        at = start
        while "\t" in self.chars[at:]:
            at = self.chars.index("\t", at)
            self.chars[at] = " "
            while at + 1 < len(self.chars) and not self.chars[at + 1]:
                at += 1
                self.chars[at] = " "

    def _part(self, column: int) -> None:
        """If a tab or a wide character spans this border, make it blanks."""
        chars = self.chars
        if column >= len(chars) or chars[column]:
            return
        start = column
        while not chars[start] and start > 0:
            start -= 1
        stop = column
        while stop < len(chars) and not chars[stop]:
            stop += 1
        chars[start:stop] = " " * (stop - start)
