"""The part of a terminal that programs can still write over: the last lines and a cursor.

Only text with carriage returns, backspaces or cursor movements gets here. Lines are as long as they
are written (nothing wraps), and lines that were never written over keep their text as it came.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from runtimed.outputs.terminal_line import Line
from runtimed.outputs.text_styles import PLAIN, Style, apply_sequence, style_after

__all__ = ["CONTROL", "HEIGHT", "Screen", "complete_length"]

HEIGHT = 100
"""Lines a cursor can reach; kernels are told the same number in LINES."""

_COLUMNS = 80  # where "far right" is; kernels are told the same number in COLUMNS
_FAR = 999  # programs that look for the right edge go this far or further
_WIDEST = 10_000  # no cursor movement leads beyond, lest a few bytes make a gigabyte of blanks

_OSC_BODY = r"\x1b\][^\x00-\x1f]{0,4096}"

CONTROL = re.compile(r"\r(?!\n)|\x08|\x1b(?:\[[0-9:;]{0,64}[@A-HJ-MPXZ`adefsu]|[78DEMc])")
"""What makes text need the emulation. A carriage return before a newline does not."""

# Runs are what takes one column a character for certain, so that they can be copied in one go.
_TOKEN = re.compile(
    r"(?P<run>[\x20-\x7e\xa0-\xac\xae-\u02ff\u0370-\u0482\u048a-\u0590\u2010-\u2027\u2030-\u205e"
    r"\u2190-\u22ff\u2500-\u25fc\u2800-\u28ff]+)"
    r"|(?P<newline>\r?\n)"
    r"|(?P<csi>\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~])"
    rf"|(?P<osc>{_OSC_BODY}(?:\x07|\x1b\\))"
    r"|(?P<escape>\x1b[ -/]{0,8}[0-OQ-WYZ\\`-~])"
    r"|(?P<other>[\s\S])"
)
_INCOMPLETE = re.compile(
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|[ -/]{0,8})\Z"
    rf"|{_OSC_BODY}\x1b?\Z"
)


def complete_length(text: str) -> int:
    """How much of the text can be acted on; the rest may be the beginning of a sequence."""
    if text.endswith("\r"):
        return len(text) - 1
    at = text.rfind("\x1b", max(0, len(text) - 4100))
    if at < 0:
        return len(text)
    if at == len(text) - 1:  # the escape that ends a link or a title is part of it
        start = text.rfind("\x1b", max(0, at - 4100), at)
        if start >= 0 and _INCOMPLETE.match(text, start):
            return start
    return at if _INCOMPLETE.match(text, at) else len(text)


class Screen:
    """Up to HEIGHT lines, a cursor, and the style it writes in."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.row = 0
        self.column = 0
        self.style: Style = PLAIN
        self._saved: tuple[int, int, Style] = (0, 0, PLAIN)

    def append(self, text: str, style: Style) -> None:
        """Add lines as they came, and set the cursor to the end of the last one."""
        *full, last = text.split("\n")
        for line in full:
            newline = "\n"
            if line.endswith("\r"):
                line, newline = line[:-1], "\r\n"
            end = style_after(style, line)
            self.lines.append(Line(line, style, end, newline))
            style = end
        end = style_after(style, last)
        self.lines.append(Line(last, style, end, ""))
        self.row, self.style = len(self.lines) - 1, end
        self.column = len(self._line().chars)

    def shed(self, count: int, style: Style) -> tuple[str, Style]:
        """Take away the first lines; returns as `render` does."""
        parts: list[str] = []
        for line in self.lines[:count]:
            text, style = line.render(style)
            parts += (text, line.newline)
        del self.lines[:count]
        self.row = max(0, self.row - count)
        row, column, saved_style = self._saved
        self._saved = (max(0, row - count), column, saved_style)
        return "".join(parts), style

    def render(self, style: Style) -> tuple[str, Style]:
        """All lines as text after text in `style`, and the style it ends in.

        Lines that were erased below the cursor are left out.
        """
        last = index = len(self.lines) - 1
        while index > self.row and not self.lines[index].size:
            if self.lines[index].erased:
                last = index - 1
            index -= 1
        parts = []
        for index, line in enumerate(self.lines[: last + 1]):
            text, style = line.render(style)
            parts.append(text)
            if index < last or last == len(self.lines) - 1:
                parts.append(line.newline)
        return "".join(parts), style

    def feed(self, text: str, at: int) -> tuple[int, bool]:
        """Act on the text from `at` on, until it ends or opens a new line below all others.

        Returns the position reached, and whether a new line was opened there.
        """
        match = _TOKEN.match
        size = len(text)
        while at < size:
            token = match(text, at)
            assert token is not None  # "other" takes anything
            at = token.end()
            kind = token.lastgroup
            if kind == "run":
                self._put(token.group())
            elif kind == "newline":
                if self._newline(token.group()):
                    return at, True
            elif kind == "csi":
                self._control(token.group())
            elif kind == "osc":
                if token.group().startswith("\x1b]8;"):
                    self._restyle(token.group())
            elif kind == "escape":
                if self._escape(token.group()):
                    return at, True
            else:
                self._other(token.group())
        return at, False

    def _line(self) -> Line:
        """The cursor's line as cells, created if the cursor is below the others."""
        lines = self.lines
        while len(lines) <= self.row:
            if lines and not lines[-1].newline:
                lines[-1].newline = "\n"
            lines.append(Line(None, PLAIN, PLAIN, ""))
        line = lines[self.row]
        if line.raw is not None:
            text, line.raw = line.raw, None
            kept = self.column, self.style
            self.column, self.style = 0, line.start
            self.feed(text, 0)
            self.column, self.style = kept
        return line

    def _put(self, cells: Sequence[str]) -> None:
        line = self._line()
        line.put(self.column, cells, self.style)
        line.end = self.style
        self.column += len(cells)

    def _other(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\x08":
            self.column = max(0, self.column - 1)
        elif char == "\t":
            stop = (self.column // 8 + 1) * 8
            if self.column >= len(self._line().chars):
                self._put(["\t", *[""] * (stop - self.column - 1)])
            self.column = stop
        else:
            width = _width(char)
            if width == 0:
                self._line().attach(self.column, char)
            elif width > 0:
                self._put((char, "")[:width])

    def _newline(self, newline: str) -> bool:
        self.column = 0
        self.row += 1
        if self.row < len(self.lines):
            return False
        self.row -= 1
        self._line().newline = newline
        self.row += 1
        return True

    def _restyle(self, sequence: str) -> None:
        self.style = apply_sequence(self.style, sequence)
        self._line().end = self.style

    def _escape(self, sequence: str) -> bool:
        final = sequence[1:]
        if final == "7":
            self._saved = (self.row, self.column, self.style)
        elif final == "8":
            self.row, self.column, self.style = self._saved
        elif final == "M":
            self.row = max(0, self.row - 1)
        elif final == "D":
            self.row = min(self.row + 1, HEIGHT - 1)
        elif final == "E":
            return self._newline("\n")
        elif final == "c":
            self.lines.clear()
            self.row, self.column, self.style = 0, 0, PLAIN
        return False

    def _control(self, sequence: str) -> None:
        body, final = sequence[2:-1], sequence[-1]
        if body and not set(body) <= _PARAMETERS:
            return  # private ones: cursor visibility, modes
        if final == "m":
            self._restyle(sequence)
            return
        fields = [int(field.split(":")[0] or "0") for field in body.split(";")]
        first = fields[0]
        count = max(1, first)
        if final in "AF":
            self.row = max(0, self.row - count)
        elif final in "BEe":
            self.row = min(self.row + count, HEIGHT - 1)
        elif final in "Ca":
            self._move_to(self.column + count if count < _FAR else _FAR)
        elif final == "D":
            self.column = max(0, self.column - count)
        elif final in "G`":
            self._move_to(count - 1 if count < _FAR else _FAR)
        elif final == "Z":
            self.column = max(0, (self.column - 1) // 8 - count + 1) * 8
        elif final == "d":
            self.row = min(count, HEIGHT) - 1
        elif final in "Hf":
            second = max(1, fields[1]) if len(fields) > 1 else 1
            self.row = min(count, HEIGHT) - 1
            self._move_to(second - 1 if second < _FAR else _FAR)
        elif final == "J":
            self._erase_screen(first)
        elif final == "K":
            self._erase_line(first)
        elif final in "LM":
            self._move_lines(count if final == "L" else -count)
        elif final == "P":
            self._line().cut(self.column, self.column + count)
        elif final == "X":
            self._line().blank(self.column, self.column + count)
        elif final == "@":
            self._line().shift(self.column, min(count, _WIDEST))
        elif final == "s" and not body:
            self._saved = (self.row, self.column, self.style)
        elif final == "u" and not body:
            self.row, self.column, self.style = self._saved
        if final in "EF":
            self.column = 0

    def _move_to(self, column: int) -> None:
        if column == _FAR:
            column = max(_COLUMNS - 1, self.column)
        self.column = min(column, max(_WIDEST, self.column))

    def _erase_line(self, what: int) -> None:
        if self.row >= len(self.lines):
            return
        line = self._line()
        if what == 0:
            line.cut(self.column)
        elif what == 1:
            line.blank(0, self.column + 1)
        else:
            line.cut(0)
        line.end = self.style

    def _erase_screen(self, what: int) -> None:
        if what == 0 and self.row < len(self.lines):
            del self.lines[self.row + 1 :]
            self._erase_line(0)
            self.lines[-1].newline = ""
        elif what == 1:
            for line in self.lines[: self.row]:
                line.raw, line.chars, line.styles = "", [], None
                line.start = line.end = PLAIN
            self._erase_line(1)
        elif what == 2:
            self.lines.clear()

    def _move_lines(self, count: int) -> None:
        self.column = 0
        if self.row >= len(self.lines):
            return
        if count > 0:
            count = min(count, HEIGHT - self.row)
            self.lines[self.row : self.row] = [Line("", PLAIN, PLAIN, "\n") for _ in range(count)]
            if len(self.lines) > HEIGHT:
                del self.lines[HEIGHT:]
                self.lines[-1].newline = ""
        else:
            del self.lines[self.row : self.row - count]
            if self.row == len(self.lines):
                self._line()
            self.lines[-1].newline = ""


_PARAMETERS = frozenset("0123456789:;")


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    """Columns a character takes; 0 for combining marks, -1 for control characters."""
    category = unicodedata.category(char)
    if category == "Cc":
        return -1
    if category in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
