from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from runt_cli import main
from runt_cli.daemon.status import _line
from runt_cli.terminal import show_json, show_table, tilde, uses_colour, without_colour


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


def test_json_holds_what_is_no_unicode(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"path": "/\udcff", "é": [{"\udcfe": 1}, None]})
    assert json.loads(capsys.readouterr().out) == {"path": "/\\udcff", "é": [{"\\udcfe": 1}, None]}


def test_texts_of_others_do_nothing_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evil = "\x1b]0;title\x07\udcff"
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(tmp_path / "none.sock"))
    monkeypatch.setenv("RUNTIMED_WORKSPACE_NAME", evil)
    (tmp_path / f"kernel-{evil}.json").write_text("{}")
    for arguments, sign in (
        ("status", "RUNTIMED_WORKSPACE_NAME="),
        ("jupyter clean", "Skipped"),
        ("jupyter ps -v", "Skipped"),
        (f"jupyter stop {evil}", "can't be used"),
    ):
        screen = Terminal()
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setattr(sys, "argv", ["runt", *arguments.split(" ")])
        with pytest.raises(SystemExit):
            main()
        assert sign in screen.getvalue()
        assert "\x1b" not in screen.getvalue()
        assert "\\x1b]0;title\\x07\\udcff" in screen.getvalue()


def test_a_description_of_a_workspace_does_nothing_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    _line("Description:", "mine\x1b[2J")
    assert screen.getvalue() == "Description:        mine\\x1b[2J\n"
