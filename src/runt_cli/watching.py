"""What a person sees of a run: which cell is running, and outputs as they come.

Outputs go to stdout and stderr as the cell wrote them. Which cell is running is said on stderr, and
only to a terminal: a pipe gets the notebook's own text and nothing else.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runt_cli.output_printer import OutputPrinter, Screen
from runt_cli.running import CellReport
from runt_cli.terminal import is_terminal, uses_colour
from runt_cli.terminal_input import TerminalInput
from runtimed.client.results import Cell, InputRequest, Output, QueueState

if TYPE_CHECKING:
    from runtimed import AsyncSession

__all__ = ["PrintingWatcher", "QuietWatcher", "standard_screen"]

_PREVIEW = 60


def standard_screen() -> Screen:
    """The process's own stdout and stderr."""
    sys.stdout.flush()
    sys.stderr.flush()
    return Screen(
        out=sys.stdout.buffer,
        err=sys.stderr.buffer,
        terminal=is_terminal(sys.stdout),
        colour=uses_colour(sys.stderr),
    )


class QuietWatcher:
    """Says which cell is running, prints no outputs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._input: TerminalInput | None = None
        self._said_others = False
        self._terminal = is_terminal(sys.stderr)
        self._colour = uses_colour(sys.stderr)

    async def answer_questions(self, session: AsyncSession) -> None:
        """Have the person at the terminal, if there is one, asked what cells want to know."""
        if is_terminal(sys.stdin):
            self._input = TerminalInput(self._screen)
            await session.set_input_handler(self._input)

    def note(self, text: str) -> None:
        """Tell a person at the terminal what is going on."""
        if self._terminal:
            self._screen.block(True, f"\x1b[2m{text}\x1b[0m\n" if self._colour else f"{text}\n")

    def say(self, text: str) -> None:
        """Tell whoever reads stderr."""
        self._screen.block(True, f"{text}\n")

    def others_run(self, queue: QueueState) -> None:
        """Say once, to a terminal or not, why nothing happens."""
        if not self._said_others:
            self._said_others = True
            self.say("Others are running cells of this notebook: waiting until they have ended")

    def cell_started(self, number: int, total: int, cell: Cell) -> None:
        self.note(f"[{number}/{total}] {_preview(cell.source)}")

    def output(self, index: int, output: Output) -> None:
        pass

    def asked(self, question: InputRequest) -> None:
        if self._input is not None:
            self._input.reached(question)

    def cell_ended(self, report: CellReport) -> None:
        pass


class PrintingWatcher(QuietWatcher):
    """Says which cell is running, and prints its outputs as they come."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        self._printer = OutputPrinter(screen)

    def cell_started(self, number: int, total: int, cell: Cell) -> None:
        super().cell_started(number, total, cell)
        self._printer = OutputPrinter(self._screen)

    def output(self, index: int, output: Output) -> None:
        self._printer.show(index, output)

    def cell_ended(self, report: CellReport) -> None:
        # The document has the last word: what no event brought is printed now.
        for index, output in enumerate(report.outputs):
            self._printer.show(index, output)


def _preview(source: str) -> str:
    line = next((line for line in source.splitlines() if line.strip()), "")
    return line if len(line) <= _PREVIEW else line[: _PREVIEW - 3] + "..."
