"""What `runt logs` prints: which lines, and how they look. Knows nothing of files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import click

from runtimed.daemon.log_records import LEVELS, Record, Wanted, head_of, records_of

__all__ = ["JsonPrinter", "TextPrinter", "last_wanted", "parse_since"]

#: Lines of one record beyond which what follows counts as another's; a log may hold anything.
_LONGEST = 10_000

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

_DAYS = {"today": 0, "yesterday": 1}

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = {30: "yellow", 40: "red", 50: "red"}


def parse_since(text: str, now: datetime) -> datetime:
    """A moment: `10m`, `1h30m`, `2d` before now, `14:30` today, the beginning of `today` or of
    `yesterday`, or a date with or without a time.

    Raises: ValueError.
    """
    if (days := _DAYS.get(text.lower())) is not None:
        return datetime.combine(now.date() - timedelta(days=days), datetime.min.time())
    spans = _SPAN.findall(text)
    if spans and "".join(number + unit for number, unit in spans) == text:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in spans)
        try:
            return now - timedelta(seconds=seconds)
        except OverflowError:
            return datetime.min
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
        text = f"{now:%Y-%m-%d} {text:0>{len(text) + (text.index(':') == 1)}}"
    moment = datetime.fromisoformat(text)
    return moment.astimezone().replace(tzinfo=None) if moment.tzinfo else moment


def last_wanted(
    newest_first: Iterable[bytes], wanted: Wanted, count: float, *, of_records: bool = False
) -> list[bytes]:
    """The last lines, or records, that are wanted, in the order of the log.

    Lines that follow a record's first one, such as a traceback, are wanted with it.
    """
    kept: list[bytes] = []
    number: float = 0
    for lines, record in _records_backwards(newest_first):
        if number >= count or wanted.ends_before(record):
            break
        if wanted.wants(record):
            kept += reversed(lines)
            number += 1 if of_records else len(lines)
    kept.reverse()
    return kept if of_records or number <= count else kept[len(kept) - int(count) :]


def _records_backwards(newest_first: Iterable[bytes]) -> Iterator[tuple[list[bytes], Record]]:
    """Each record's lines in their order, the last record first."""
    behind: list[bytes] = []
    for line in newest_first:
        behind.append(line)
        head = head_of(_text(line))
        if head is not None:
            yield behind[::-1], head
            behind = []
        elif len(behind) >= _LONGEST:
            yield behind[::-1], Record(None, None, None, "")
            behind = []
    if behind:
        yield behind[::-1], Record(None, None, None, "")


class TextPrinter:
    """Prints wanted lines as they are; on a terminal in colour, and without control sequences."""

    def __init__(
        self, write: Callable[[bytes], object], wanted: Wanted, *, terminal: bool, colour: bool
    ) -> None:
        self._write = write
        self._wanted = wanted
        self._terminal = terminal
        self._colour = colour
        self._shows = wanted.everything
        self._part = b""

    def print(self, lines: Iterable[bytes]) -> None:
        """Print lines that were chosen already."""
        for line in lines:
            self._show(line, head_of(_text(line)))

    def feed(self, data: bytes) -> None:
        """Take what was added to the log; what ends in the middle of a line waits for the rest."""
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            head = head_of(_text(line))
            if head is not None:
                self._shows = self._wanted.wants(head)
            if self._shows:
                self._show(line + b"\n", head)

    def _show(self, line: bytes, head: Record | None) -> None:
        if not self._terminal:
            self._write(line)
            return
        text = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _text(line).rstrip("\r\n"))
        if self._colour and head is not None and head.level is not None:
            text = _coloured(text, head.level)
        newline = "\n" if line.endswith(b"\n") else ""
        self._write((text + newline).encode())


def _coloured(text: str, level: str) -> str:
    time, word, rest = text.partition(f"[{level}]")
    grave = LEVELS[level]
    logger, colon, message = rest.partition(":")
    return "".join(
        (
            click.style(time, dim=True),
            # None and not False, which would undo the other.
            click.style(word, fg=_COLOURS[grave], bold=grave >= 40 or None)
            if grave in _COLOURS
            else word,
            click.style(logger + colon, dim=True),
            message,
        )
    )


class JsonPrinter:
    """Prints wanted records as JSON, one a line."""

    def __init__(self, write: Callable[[bytes], object], wanted: Wanted) -> None:
        self._write = write
        self._wanted = wanted
        self._waiting: list[str] = []
        self._part = b""

    def print(self, lines: Iterable[bytes]) -> None:
        """Print the records of lines that were chosen already."""
        self._show(map(_text, lines))

    def feed(self, data: bytes) -> None:
        """Take what was added to the log. A record is complete once another one begins, or nothing
        has followed for one look (`data` is empty)."""
        *lines, self._part = (self._part + data).split(b"\n")
        for line in map(_text, lines):
            if head_of(line) is not None:
                self._flush()
            self._waiting.append(line)
        if not data:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._show(waiting)

    def _show(self, lines: Iterable[str]) -> None:
        import orjson

        for record in records_of(lines):
            if self._wanted.wants(record):
                self._write(orjson.dumps(record.as_json()) + b"\n")


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
