"""What a console is attached to, as its loop sees it: a kernel or a room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from runt_cli.jupyter.console.images import Protocol as ImageProtocol
from runt_cli.jupyter.console.images import image_sequence
from runt_cli.output_printer import Screen
from runt_cli.output_text import rich_text
from runtimed.client.results import Output

__all__ = ["Attached", "Completions", "Face", "Status"]


@attrs.frozen
class Completions:
    """Proposals for the characters from `start` to `end`."""

    texts: Sequence[str] = ()
    start: int = 0
    end: int = 0


@attrs.frozen
class Status:
    """Whether code is complete; `indent`: what the next line begins with if it is not."""

    complete: bool
    indent: str = ""


class Attached(Protocol):
    """Runs code and answers questions about it."""

    @property
    def language(self) -> str: ...

    @property
    def count(self) -> int | None:
        """The number that the next input gets, None while it is not known."""

    async def run(self, code: str) -> bool:
        """Run code and print what it puts out; whether it went well."""

    async def complete(self, code: str, cursor: int) -> Completions: ...
    async def status(self, code: str) -> Status: ...
    async def interrupt(self) -> None: ...


@attrs.define
class Face:
    """How things are printed: the screen for our own runs, and `aside` for everything else, which
    may come while a person types.

    numbered: whether results get `Out[n]:`.
    """

    screen: Screen
    aside: Callable[[str], None]
    images: ImageProtocol = "none"
    numbered: bool = True

    def rich(self, output: Output) -> str:
        """An output with data, ending with a newline."""
        data = output.data or {}
        text = image_sequence(data, self.images) or rich_text(data)
        count = output.execution_count
        if not (text and self.numbered and output.output_type == "execute_result" and count):
            return text
        label = f"Out[{count}]:"
        if self.screen.colour:
            label = f"\x1b[31m{label}\x1b[0m"
        one_line = "\n" not in text.rstrip("\n") and not text.startswith("\x1b")
        return f"{label} {text}" if one_line else f"{label}\n{text}"


def marked(source: str, count: int | None) -> str:
    """The first lines of what somebody else runs."""
    number = " " if count is None else str(count)
    first, *others = source.rstrip("\n").split("\n")
    lines = [f"[other] In [{number}]: {first}", *(f"[other]     ...: {line}" for line in others)]
    return "".join(f"{line}\n" for line in lines)


class MarkedLines:
    """Gathers somebody else's output into whole lines, each of them marked."""

    def __init__(self, aside: Callable[[str], None]) -> None:
        self._aside = aside
        self._rest = ""

    def write(self, data: bytes) -> int:
        lines = (self._rest + data.decode("utf-8", "replace")).split("\n")
        self._rest = lines.pop()
        if lines:
            # Of a line that was rewritten the last state counts.
            self._aside("".join(f"[other] {line.rpartition(chr(13))[2]}\n" for line in lines))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back but an unfinished line."""

    def finish(self) -> None:
        if self._rest:
            self.write(b"\n")
