"""How a listing behaves towards what is at its other end: a terminal, a pipe, a key press."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend

from runtimed.protocol import pool

__all__ = ["pretend"]

pytestmark = pytest.mark.real

RUNT = (sys.executable, "-m", "runt_cli")
LIMIT = 60.0


def on_terminal(columns: int, *arguments: str, **environ: str) -> str:
    """What a terminal of that width shows of a command."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unwanted = ("NO_COLOR", "COLUMNS", "PYTHONIOENCODING", "PYTHONUTF8")
    env = {name: value for name, value in os.environ.items() if name not in unwanted}
    with subprocess.Popen(
        [*RUNT, *arguments],
        env=env | {"TERM": "xterm"} | environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
    os.close(ours)
    return shown.decode(environ.get("PYTHONIOENCODING", "utf-8")).replace("\r\n", "\n")


@pytest.fixture
def listed(pretend: Pretend, tmp_path: Path) -> None:
    """A daemon with a notebook whose kernel is at work."""
    room = pool.RoomInfo(
        str(tmp_path / "projects/Überblick 2026 笔记.ipynb"),
        2,
        True,
        kernel_type="python",
        env_source="uv:prewarmed",
        kernel_status="busy",
        kernel_id="cafe00000001",
        queued=2,
    )
    pretend(lambda request: pool.RoomsList([room]))


@pytest.mark.usefixtures("listed")
def test_forty_columns_are_enough() -> None:
    assert on_terminal(40, "notebooks", NO_COLOR="1").splitlines() == [
        "╭──────────────────┬─────────┬─────────╮",
        "│ NOTEBOOK         │ STATUS  │ UNSAVED │",
        "├──────────────────┼─────────┼─────────┤",
        "│ Überblick 2026…  │ busy +2 │ -       │",
        "╰──────────────────┴─────────┴─────────╯",
    ]


@pytest.mark.usefixtures("listed")
def test_headers_are_bold_where_colour_is_wanted() -> None:
    assert "\x1b[1m STATUS  \x1b[0m" in on_terminal(80, "notebooks")
    assert "\x1b" not in on_terminal(80, "notebooks", NO_COLOR="1")
    assert "\x1b" not in on_terminal(80, "notebooks", TERM="dumb")


@pytest.mark.usefixtures("listed")
def test_a_terminal_without_frames_gets_plain_text() -> None:
    shown = on_terminal(80, "notebooks", PYTHONIOENCODING="latin-1")
    assert shown.splitlines()[1].startswith(
        "~/projects/Überblick 2026 \\u7b14\\u8bb0.ipynb  python"
    )


@pytest.mark.usefixtures("listed")
def test_a_pipe_that_is_closed_ends_a_listing_without_a_word() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [*RUNT, "notebooks", "--json"], stdout=closed, stderr=subprocess.PIPE, timeout=LIMIT
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_ends_the_wait_for_a_daemon_that_hangs(pretend: Pretend) -> None:
    asked = threading.Event()

    def answer(request: Any) -> Any:
        asked.set()

    pretend(answer)
    with subprocess.Popen(
        [*RUNT, "ps"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert asked.wait(LIMIT)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, output, errors) == (130, b"", b"\n")
