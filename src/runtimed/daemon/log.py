"""The daemon's log: one rotating file, and stderr when a person may be looking."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from pathlib import Path

from runtimed.daemon.log_records import DATE_FORMAT, LINE_FORMAT, field_text
from runtimed.errors import StateDirectoryUnusable
from runtimed.rooms.context import current_room

__all__ = ["RoomFormatter", "set_up_logging"]

#: Bytes of one log file, and how many old ones are kept.
_ROTATE_AT = 10 * 1024 * 1024
_KEPT = 3


def set_up_logging(level: str, path: Path) -> None:
    """Log to `path` and to stderr.

    `level` is a level's name, or a filter of the form `info,runtimed.rooms=debug` (level first,
    modules after it, as in RUST_LOG). Unknown names mean `info`.
    Raises: StateDirectoryUnusable.
    """
    root = logging.getLogger()
    formatter = RoomFormatter(LINE_FORMAT, DATE_FORMAT)
    try:
        file = logging.handlers.RotatingFileHandler(path, maxBytes=_ROTATE_AT, backupCount=_KEPT)
    except OSError as error:
        raise StateDirectoryUnusable(
            f"The log {path} can't be written: {error.strerror or error}"
        ) from error
    handlers: list[logging.Handler] = [file]
    if not _same_file(path):
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for part in level.split(","):
        name, equals, text = part.strip().partition("=")
        target = logging.getLogger(name.replace("::", ".")) if equals else root
        target.setLevel(_LEVELS.get((text if equals else name).lower(), logging.INFO))


_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL,
}


class RoomFormatter(logging.Formatter):
    """Puts the room that a record is about at the end of its first line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        if (room := current_room.get()) is None:
            return text
        line, newline, rest = text.partition("\n")
        return f"{line} room={field_text(room)}{newline}{rest}"


def _same_file(path: Path) -> bool:
    """Whether stderr already ends up in the log, as a service manager may arrange."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):
        return False
