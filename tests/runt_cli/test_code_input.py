"""Code that comes through a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from runt_cli.code_input import given_code
from runt_cli.failure import Fail


def test_code_comes_from_the_command_line_or_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given_code("1 + 1") == "1 + 1"
    for name in ("-", None):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("print('ü')".encode())))
        assert given_code(name) == "print('ü')"


def test_what_is_no_text_is_refused_with_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    with pytest.raises(Fail, match="not UTF-8 text: byte 2 is 0xff"):
        given_code("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Fail, match="standard input is closed"):
        given_code("-")
