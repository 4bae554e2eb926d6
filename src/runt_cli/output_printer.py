"""Prints a cell's outputs as they come: streams byte for byte, everything else as text.

Outputs arrive by index, and an index comes again with its whole text when its output has grown or
was replaced; the printer knows what it has printed and adds the rest. It writes to two binary
streams and knows nothing of daemons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import attrs

from runt_cli.output_text import rich_text, traceback_text
from runtimed.client.results import Output

__all__ = ["OutputPrinter", "Screen"]


@attrs.define
class Screen:
    """Where outputs go: two binary streams that may share one terminal.

    `terminal` says that somebody watches, so a rewritten line is erased before it is written anew;
    `colour` keeps the colours of tracebacks.
    """

    out: BinaryIO
    err: BinaryIO
    terminal: bool = False
    colour: bool = False
    _mid_line: BinaryIO | None = attrs.field(default=None, init=False)

    def stream(self, to_err: bool, text: str) -> None:
        """Write the text of a stream, byte for byte."""
        target = self.err if to_err else self.out
        self._write(target, text)
        self._mid_line = None if text.endswith("\n") else target

    def block(self, to_err: bool, text: str) -> None:
        """Write text that begins on a line of its own and ends with a newline."""
        if self._mid_line is not None:
            self._write(self._mid_line, "\n")
        self._mid_line = None
        self._write(self.err if to_err else self.out, text)

    def line_ended(self) -> None:
        """Somebody has typed the end of the line."""
        self._mid_line = None

    @staticmethod
    def _write(target: BinaryIO, text: str) -> None:
        # A kernel's text may hold lone surrogates; they must not stop the rest.
        target.write(text.encode("utf-8", "surrogatepass"))
        target.flush()


class OutputPrinter:
    """Prints the outputs of one run of one cell."""

    def __init__(
        self, screen: Screen, rich: Callable[[Output], str] = lambda o: rich_text(o.data or {})
    ) -> None:
        """rich: how an output with data is written, ending with a newline."""
        self._screen = screen
        self._rich = rich
        self._printed: dict[int, str] = {}

    def show(self, index: int, output: Output) -> None:
        """Print what is new in the output at this index."""
        if output.output_type == "stream":
            self._show_stream(index, output.text or "", to_err=output.name == "stderr")
        elif output.output_type == "error":
            text = traceback_text(output, colour=self._screen.colour)
            self._show_block(index, text, to_err=True)
        else:
            self._show_block(index, self._rich(output), to_err=False)

    def _show_block(self, index: int, text: str, *, to_err: bool) -> None:
        if text and self._printed.get(index) != text:
            self._screen.block(to_err, text)
        self._printed[index] = text

    def _show_stream(self, index: int, text: str, *, to_err: bool) -> None:
        before = self._printed.get(index, "")
        if text == before:
            return
        self._printed[index] = text
        if text.startswith(before):
            self._screen.stream(to_err, text[len(before) :])
        elif text:
            self._screen.stream(to_err, self._rewritten(before, text))

    def _rewritten(self, before: str, text: str) -> str:
        """What turns the printed text into another: the last line anew, or the changed lines again.

        Only text with control codes (a progress bar) or cleared output comes here.
        """
        last_line = before.rfind("\n") + 1
        if text[:last_line] == before[:last_line]:
            return ("\r\x1b[K" if self._screen.terminal else "\r") + text[last_line:]
        separator = "" if before.endswith("\n") else "\n"
        return separator + "".join(_new_lines(before, text))


def _new_lines(before: str, text: str) -> list[str]:
    """The lines of a text from the first that differs."""
    old, new = before.splitlines(keepends=True), text.splitlines(keepends=True)
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return new[same:]
