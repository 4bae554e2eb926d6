"""Checks on what callers pass in, so that mistakes show at the call.

Wrong types raise TypeError, negative numbers OverflowError, as functions with C signatures do.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runtimed.errors import RuntimedError

__all__ = [
    "absolute_path",
    "as_cell_type",
    "as_count",
    "as_flag",
    "as_optional_text",
    "as_path_text",
    "as_position",
    "as_text",
    "as_texts",
    "as_timeout",
    "check_working_dir",
    "seconds",
]

_LAST_POSITION = 2**32 - 1

CELL_TYPES = ("code", "markdown", "raw")


def as_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return value


def as_optional_text(name: str, value: object) -> str | None:
    return None if value is None else as_text(name, value)


def as_texts(name: str, value: Sequence[str]) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list of str, not {type(value).__name__}")
    return [as_text(f"each of {name}", item) for item in value]


def as_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be a bool, not {type(value).__name__}")
    return value


def as_count(name: str, value: object) -> int:
    """A number that isn't negative, such as a line, a column or an index."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if value < 0:
        raise OverflowError(f"{name} can't be negative")
    return value


def as_position(name: str, value: object) -> int:
    """A line or a column, which have 32 bits on the wire."""
    if as_count(name, value) > _LAST_POSITION:
        raise OverflowError(f"{name} can't be larger than {_LAST_POSITION}")
    return as_count(name, value)


def as_cell_type(value: object) -> str:
    text = as_text("cell_type", value)
    if text not in CELL_TYPES:
        raise RuntimedError(f"Unknown cell type: {text} (a cell is code, markdown or raw)")
    return text


def as_timeout(value: float) -> float:
    """A time limit in seconds.

    Raises: ValueError unless it is positive.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"timeout_secs must be a number, not {type(value).__name__}")
    if not value > 0:
        raise ValueError(f"timeout_secs must be positive, not {value}")
    return float(value)


def seconds(value: float) -> str:
    """A duration as it is written in messages: `60`, `0.5`."""
    return str(int(value)) if value.is_integer() else str(value)


def as_path_text(name: str, value: str | os.PathLike[str]) -> str:
    path = os.fspath(value)
    return as_text(name, path)


def absolute_path(name: str, value: str | os.PathLike[str]) -> str:
    """A path that means the same in the daemon's working folder as in the caller's."""
    # Not resolved: following links is the daemon's task, and "a/../b" may mean another file.
    return str(Path.cwd() / Path(as_path_text(name, value)).expanduser())


def check_working_dir(value: str | os.PathLike[str] | None) -> str | None:
    """The working folder of a new notebook, made absolute.

    Raises: FileNotFoundError, NotADirectoryError.
    """
    if value is None:
        return None
    given = as_path_text("working_dir", value)
    path = absolute_path("working_dir", given)
    if not Path(path).exists():
        raise FileNotFoundError(f"working_dir does not exist: {given}")
    if not Path(path).is_dir():
        raise NotADirectoryError(f"working_dir is not a directory: {given}")
    return path
