"""The end of a file that another process appends to, rotates or cuts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["follow_file", "last_lines"]

_BLOCK = 64 * 1024


def last_lines(file: BinaryIO, count: int) -> bytes:
    """The last lines of an open file, however long the file is; leaves its position at the end."""
    end = position = file.seek(0, os.SEEK_END)
    data = b""
    # One newline more than lines are wanted, for the one before the first of them.
    while position > 0 and data.count(b"\n") <= count:
        position = max(0, position - _BLOCK)
        file.seek(position)
        data = file.read(end - position)
    file.seek(end)
    lines = data.splitlines(keepends=True)
    return b"".join(lines[-count:]) if count else b""


def follow_file(path: Path, file: BinaryIO, interval: float = 0.25) -> Iterator[bytes]:
    """What is added behind the position of `file`, without end; closes the file when it is left.

    Survives rotation (another file at `path`) and truncation.

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
            try:
                rotated = not os.path.samestat(status, path.stat())
            except FileNotFoundError:
                rotated = False  # in the middle of it
            if rotated:
                # What was written to the old file before it was renamed comes first.
                yield file.read()
                file.close()
                file = path.open("rb")
                continue
            time.sleep(interval)
    finally:
        file.close()
