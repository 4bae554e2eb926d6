"""`runt notebooks`, `stop` and `interrupt`: whole outputs, for what a daemon may say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from pool_answers import Pretend, pretend, run_command

from runtimed.protocol import pool

__all__ = ["pretend"]

pytestmark = pytest.mark.real

UNTITLED = "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77"


class Daemon:
    """Two open notebooks, the second with a kernel that runs a cell while two more wait."""

    def __init__(self, home: Path) -> None:
        self.busy = str(home / "my notebook.ipynb")
        self.asked: list[Any] = []
        self.rooms = [
            pool.RoomInfo(UNTITLED, 1, False),
            pool.RoomInfo(
                self.busy,
                2,
                True,
                kernel_type="python",
                env_source="uv:prewarmed",
                kernel_status="busy",
                kernel_pid=None,
                queued=2,
                path=self.busy,
                unsaved=True,
                kernel_id="cafe12345678",
            ),
        ]

    def __call__(self, request: Any) -> Any:
        self.asked.append(request)
        if isinstance(request, pool.ListRooms):
            return pool.RoomsList(self.rooms)
        if isinstance(request, pool.ShutdownNotebook):
            before = len(self.rooms)
            self.rooms = [room for room in self.rooms if room.notebook_id != request.notebook_id]
            return pool.NotebookShutdown(found=len(self.rooms) < before)
        if isinstance(request, pool.InterruptNotebook):
            kernel = request.notebook_id == self.busy
            return pool.NotebookInterrupted(True, kernel, kernel, 2 if kernel else 0)
        return None


@pytest.fixture
def daemon(pretend: Pretend, tmp_path: Path) -> Daemon:
    daemon = Daemon(tmp_path)
    pretend(daemon)
    return daemon


def test_the_open_notebooks_as_a_table(daemon: Daemon) -> None:
    done = run_command("notebooks")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "NOTEBOOK                              KERNEL  ENV           STATUS   PEERS  UNSAVED\n"
        "~/my notebook.ipynb                   python  uv:prewarmed  busy +2      2  yes\n"
        "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77  -       -             -            1  -\n"
    )


def test_the_open_notebooks_as_json(daemon: Daemon) -> None:
    done = run_command("notebooks", "--json")
    assert json.loads(done.stdout) == [
        {
            "notebook_id": daemon.busy,
            "active_peers": 2,
            "has_kernel": True,
            "kernel_type": "python",
            "env_source": "uv:prewarmed",
            "kernel_status": "busy",
            "kernel_pid": None,
            "loading": False,
            "queued": 2,
            "path": daemon.busy,
            "unsaved": True,
            "kernel_id": "cafe12345678",
        },
        {
            "notebook_id": UNTITLED,
            "active_peers": 1,
            "has_kernel": False,
            "loading": False,
            "queued": 0,
            "path": None,
            "unsaved": False,
        },
    ]


def test_ids_alone_are_for_other_commands(daemon: Daemon) -> None:
    assert run_command("notebooks", "-q").stdout == f"{daemon.busy}\n{UNTITLED}\n"


def test_the_old_name_works_and_says_so(daemon: Daemon) -> None:
    done = run_command("rooms", "--json")
    assert done.stderr == "Warning: 'runt rooms' is deprecated. Use 'runt notebooks' instead.\n"
    assert len(json.loads(done.stdout)) == 2


def test_nothing_is_open(daemon: Daemon) -> None:
    daemon.rooms = []
    assert run_command("notebooks").stdout == "No open notebooks.\n"
    assert run_command("notebooks", "--json").stdout == "[]\n"
    assert run_command("stop", "--all").stdout == "No open notebooks.\n"


def test_several_are_stopped_and_one_that_is_none_does_not_hold_up_the_others(
    daemon: Daemon,
) -> None:
    done = run_command("stop", "my notebook", "missing.ipynb", UNTITLED[:4], "cafe1")
    assert done.exit_code == 1
    assert done.stdout == (
        "Shutdown notebook: ~/my notebook.ipynb\n"
        f"Shutdown notebook: {UNTITLED}\n"
        "Shutdown notebook: ~/my notebook.ipynb\n"
    )
    assert done.stderr == (
        "Notebook not found: missing.ipynb. Use 'runt notebooks' to see open notebooks.\n"
    )
    assert sum(isinstance(request, pool.ShutdownNotebook) for request in daemon.asked) == 2


def test_a_file_that_is_not_open_stops_no_other_of_its_name(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "long.ipynb").write_text("{}")
    other = str(tmp_path / "sub" / "long.ipynb")
    daemon.rooms = [pool.RoomInfo(other, 1, True, path=other)]
    for command in ("stop", "interrupt"):
        for name in ("long.ipynb", "long"):
            done = run_command(command, name)
            assert (done.exit_code, done.stdout) == (1, "")
            assert done.stderr == (
                f"{name} is not open. Use 'runt notebooks' to see open notebooks.\n"
            )
    assert [room.notebook_id for room in daemon.rooms] == [other]


def test_all_are_stopped(daemon: Daemon) -> None:
    done = run_command("shutdown", "--all")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"Shutdown notebook: ~/my notebook.ipynb\nShutdown notebook: {UNTITLED}\n"
    assert daemon.rooms == []


def test_what_was_stopped_as_json(daemon: Daemon) -> None:
    done = run_command("stop", "--json", "my notebook.ipynb", "x")
    assert done.exit_code == 1
    error = "Notebook not found: x. Use 'runt notebooks' to see open notebooks."
    assert json.loads(done.stdout) == [
        {"notebook": "my notebook.ipynb", "notebook_id": daemon.busy, "stopped": True},
        {"notebook": "x", "notebook_id": None, "stopped": False, "error": error},
    ]


@pytest.mark.parametrize("arguments", [(), ("--all", "x.ipynb")])
def test_stopping_wants_either_names_or_all(daemon: Daemon, arguments: tuple[str, ...]) -> None:
    done = run_command("stop", *arguments)
    assert done.exit_code == 2
    assert "Error: Name the notebooks to stop, or pass --all." in done.stderr
    assert daemon.asked == []


def test_an_interrupt_says_what_it_met(daemon: Daemon) -> None:
    done = run_command("interrupt", "my notebook")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "Interrupted: ~/my notebook.ipynb (2 waiting cells dropped)\n"
    done = run_command("interrupt", "--json", "my notebook")
    assert json.loads(done.stdout) == {
        "notebook_id": daemon.busy,
        "has_kernel": True,
        "running": True,
        "dropped": 2,
    }


def test_without_a_kernel_nothing_can_be_interrupted(daemon: Daemon) -> None:
    done = run_command("interrupt", "0b2f")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"No kernel running: {UNTITLED}\n"


def test_a_cell_that_runs_alone_has_none_queued(daemon: Daemon) -> None:
    room = pool.RoomInfo("n", 1, True, kernel_status="busy")
    daemon.rooms = [room]
    assert json.loads(run_command("notebooks", "--json").stdout)[0]["queued"] == 0
    assert run_command("notebooks").stdout.splitlines()[1].split()[3] == "busy"
    daemon.rooms = [attrs.evolve(room, queued=1)]
    assert json.loads(run_command("notebooks", "--json").stdout)[0]["queued"] == 1
    assert run_command("notebooks").stdout.splitlines()[1].split()[3:5] == ["busy", "+1"]


def test_an_idle_kernel_is_no_error(pretend: Pretend) -> None:
    def answer(request: Any) -> Any:
        if isinstance(request, pool.ListRooms):
            return pool.RoomsList([pool.RoomInfo("/a/b.ipynb", 0, True, kernel_status="idle")])
        return pool.NotebookInterrupted(True, True, False, 0)

    pretend(answer)
    done = run_command("interrupt", "b")
    assert (done.exit_code, done.stdout) == (0, "Nothing was running: /a/b.ipynb\n")


@pytest.mark.parametrize(
    ("command", "action"),
    [
        ("notebooks", "Failed to list notebooks"),
        ("ps", "Failed to list notebooks"),
        ("stop x", "Failed to shutdown notebook"),
        ("interrupt x", "Failed to interrupt notebook"),
    ],
)
def test_a_daemon_that_hangs_is_named(
    pretend: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, action: str
) -> None:
    pretend(lambda request: None)
    monkeypatch.setattr("runt_cli.asking.ANSWER_LIMIT", 0.2)
    done = run_command(*command.split())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"{action}: the daemon (pid {os.getpid()}, socket {tmp_path}/d.sock) has not answered for "
        "0.2 seconds. It hangs or is overloaded: see 'runt logs', try 'runt daemon restart', "
        f"or kill -9 {os.getpid()}\n"
    )


def test_a_daemon_of_an_older_version_says_what_it_can_not_do(pretend: Pretend) -> None:
    def answer(request: Any) -> Any:
        if isinstance(request, pool.ListRooms):
            return pool.RoomsList([pool.RoomInfo("/a/b.ipynb", 0, True)])
        return pool.Error('unknown request "interrupt_notebook"')

    pretend(answer)
    done = run_command("interrupt", "b")
    assert done.exit_code == 1
    assert done.stderr == (
        "Failed to interrupt notebook: Daemon returned error: "
        'unknown request "interrupt_notebook"\n'
    )


def test_flush_tells_a_person_what_it_waits_for(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(lambda request: pool.Pong() if isinstance(request, pool.Ping) else pool.Flushed())
    assert run_command("daemon", "flush").stderr == ""
    monkeypatch.setattr("runt_cli.terminal.is_terminal", lambda stream: True)
    told = "Waiting for the daemon to delete the pooled environments...\n"
    assert run_command("daemon", "flush").stderr == told
