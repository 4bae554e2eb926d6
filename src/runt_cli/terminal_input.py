"""Asks the person at the terminal what a running cell wants to know.

Reads the terminal on Trio rather than with `input()` on a thread: a question can be answered
elsewhere, or its cell end, and then nobody may be left who swallows the next line.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Iterator

import trio

from runt_cli.output_printer import Screen
from runtimed.client.results import InputRequest

__all__ = ["TerminalInput"]

_LINE = 65_536


class TerminalInput:
    """An input handler for the cells that this command runs, and no others'.

    `reached` says that the run has come to a question: only then has everything been printed that
    came before it, and it is known to be ours.
    """

    def __init__(self, screen: Screen, terminal: int | None = None) -> None:
        self._screen = screen
        self._terminal = sys.stdin.fileno() if terminal is None else terminal
        self._reached: dict[str, trio.Event] = {}

    def reached(self, question: InputRequest) -> None:
        """All that was put out before this question has been printed."""
        self._event(question).set()

    def _event(self, question: InputRequest) -> trio.Event:
        return self._reached.setdefault(question.id, trio.Event())

    async def __call__(self, question: InputRequest) -> str | None:
        """Put a question and read one line; None at the end of input (Ctrl-D)."""
        await self._event(question).wait()
        self._screen.stream(True, question.prompt)
        try:
            with self._hidden() if question.password else contextlib.nullcontext():
                await trio.lowlevel.wait_readable(self._terminal)
                # Terminals give whole lines; a line that is there is not waited for.
                line = os.read(self._terminal, _LINE).decode("utf-8", "surrogateescape")
        finally:
            if question.password:
                self._screen.stream(True, "\n")
        self._screen.line_ended()
        return line.rstrip("\n") if line else None

    @contextlib.contextmanager
    def _hidden(self) -> Iterator[None]:
        before = termios.tcgetattr(self._terminal)
        hidden = termios.tcgetattr(self._terminal)
        hidden[3] &= ~termios.ECHO
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, hidden)
        try:
            yield
        finally:
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, before)
