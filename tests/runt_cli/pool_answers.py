"""Commands in this process against a daemon that is pretended, for tests of whole outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pool_server import Answer, pool_server
from runt_cli.root import runt

__all__ = ["Pretend", "pretend", "run_command", "run_in_terminal"]

#: Makes a daemon that answers so, for as long as the test lasts.
Pretend = Callable[[Answer], None]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretend]:
    """`pretend(answer)`; the home and current folder are the test's own."""
    for name in list(os.environ):
        if name.startswith(("RUNTIMED_", "CONDUCTOR_", "XDG_", "RUNT_", "JUPYTER_")):
            monkeypatch.delenv(name)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(tmp_path / "d.sock"))
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(pool_server(tmp_path / "d.sock", answer))


def run_command(*arguments: str, **options: Any) -> Result:
    """Run `runt` in this process."""
    return CliRunner().invoke(runt, arguments, **options)


def run_in_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *arguments: str) -> list[str]:
    """What `runt` writes in this process when a person looks, in a terminal so wide."""
    monkeypatch.setattr("runt_cli.terminal.is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    return run_command(*arguments).stdout.splitlines()
