"""The daemon's log: one rotating file, and stderr when a person may be looking."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from pathlib import Path

from runtimed.errors import StateDirectoryUnusable

__all__ = ["set_up_logging"]

_FORMAT = "%(asctime)s [%(levelname)s] %(name)s: %(message)s"
_DATE = "%Y-%m-%d %H:%M:%S"

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
    formatter = logging.Formatter(_FORMAT, _DATE)
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


def _same_file(path: Path) -> bool:
    """Whether stderr already ends up in the log, as a service manager may arrange."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):
        return False
