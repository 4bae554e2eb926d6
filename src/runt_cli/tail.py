"""The end of a file that another process appends to, rotates or cuts.

Rotated files lie beside it as `<name>.1`, `<name>.2` and so on, the newest first. Knows nothing of
what the lines say.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["follow_file", "newest_first", "whole_lines"]

_BLOCK = 64 * 1024
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")

#: Rotated files that are looked for; whoever rotates keeps fewer.
_ROTATED = 99


def whole_lines(file: BinaryIO) -> int:
    """The position behind the last complete line of an open file."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


def newest_first(path: Path, file: BinaryIO, end: int | None = None) -> Iterator[bytes]:
    """The lines of an open file up to a position, the last one first, then those of the files that
    were rotated away. Reads no more than is asked for. Lines keep their newline.
    """
    yield from _reversed_lines(file, end)
    seen = os.fstat(file.fileno())
    for rotated in _rotated(path):
        with rotated:
            # Rotation may have happened since the file was opened.
            if not os.path.samestat(seen, os.fstat(rotated.fileno())):
                yield from _reversed_lines(rotated)


def _reversed_lines(file: BinaryIO, end: int | None = None) -> Iterator[bytes]:
    position = file.seek(0, os.SEEK_END) if end is None else end
    pieces: list[bytes] = []  # of the line that ends in what was read, the last piece first
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        block = file.read(position - start)
        position = start
        lines: list[bytes] = _LINE.findall(block)
        if lines and not block.endswith(b"\n"):
            pieces.append(lines.pop())
            if not lines:
                continue
        if pieces:
            yield b"".join(reversed(pieces))
        yield from reversed(lines[1:])
        pieces = lines[:1]
    if pieces:
        yield b"".join(reversed(pieces))


def _rotated(path: Path) -> Iterator[BinaryIO]:
    for number in range(1, _ROTATED):
        try:
            yield path.with_name(f"{path.name}.{number}").open("rb")
        except OSError:
            return


def follow_file(path: Path, file: BinaryIO, interval: float = 0.25) -> Iterator[bytes]:
    """What is added behind the position of `file`, without end; b"" at each look that finds
    nothing. Closes the file when it is left.

    Survives rotation, several at once too, and truncation.

    Units: interval in seconds, between two looks.
    """
    try:
        while True:
            if data := file.read(_BLOCK):
                yield data
                continue
            status = os.fstat(file.fileno())
            if status.st_size < file.tell():
                file.seek(0)
                continue
            if (following := _successors(path, status)) is None:
                yield b""
                time.sleep(interval)
                continue
            # What was written to the old file before it was renamed comes first.
            yield file.read()
            file.close()
            *between, file = following
            for each in between:
                with each:
                    yield each.read()
    finally:
        file.close()


def _successors(path: Path, old: os.stat_result) -> list[BinaryIO] | None:
    """The files that came after this one, opened, oldest first; None while it is the newest."""
    current: BinaryIO
    try:
        current = path.open("rb")
    except OSError:
        return None  # in the middle of it
    if os.path.samestat(old, os.fstat(current.fileno())):
        current.close()
        return None
    newer: list[BinaryIO] = [current]
    for rotated in _rotated(path):
        if os.path.samestat(old, os.fstat(rotated.fileno())):
            rotated.close()
            return newer[::-1]
        newer.append(rotated)
    # It was removed, or rotated away altogether: no telling what is missing.
    for each in newer[1:]:
        each.close()
    return [current]
