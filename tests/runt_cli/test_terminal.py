from __future__ import annotations

import io
import sys

import pytest

from runt_cli.terminal import show_table, tilde, uses_colour, without_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_for_a_pipe_is_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "PID"), [("a", "1"), ("longer", None)])
    assert capsys.readouterr().out == "NAME    PID\na       1\nlonger  -\n"


def test_a_table_for_a_terminal_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", "1")
    show_table(("NAME", "PID"), [("[a]", "1")])
    assert "╭" in screen.getvalue()
    assert "[a]" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert uses_colour(Terminal())
    assert not uses_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not uses_colour(Terminal())


def test_paths_under_home_are_written_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    assert tilde("/home/u/n.ipynb") == "~/n.ipynb"
    assert tilde("/home/us/n.ipynb") == "/home/us/n.ipynb"


def test_control_sequences_are_taken_out() -> None:
    assert without_colour("\x1b[1;31ma\x1b[0m \x1b]8;;http://x\x07b\x1b]8;;\x07") == "a b"
