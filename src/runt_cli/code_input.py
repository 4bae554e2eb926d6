"""Code that a user gives: on the command line, or through a pipe."""

from __future__ import annotations

import sys

from runt_cli.failure import Fail

__all__ = ["given_code"]


def given_code(code: str | None) -> str:
    """The code; read from stdin for `-`, or without any.

    Raises: Fail for what is no text, naming the byte.
    """
    if code not in (None, "-"):
        assert code is not None
        return code
    if sys.stdin is None:
        raise Fail("Error: there is no code: standard input is closed")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise Fail(
            f"Error: standard input is not UTF-8 text: byte {error.start} is "
            f"0x{error.object[error.start]:02x}"
        ) from error
