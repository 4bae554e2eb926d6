"""`runt ps`: whole outputs, for what a daemon may say."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend, run_command, run_in_terminal

from runtimed.processes import Usage
from runtimed.protocol import pool

__all__ = ["pretend"]

pytestmark = pytest.mark.real


@pytest.fixture
def kernels(pretend: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A daemon with a notebook's kernel, one that has just ended, and a warm one; the notebook."""
    notebook = str(tmp_path / "my notebook.ipynb")

    def kernel(notebook_id: str, kernel_id: str, pid: int, status: str) -> pool.RoomInfo:
        return pool.RoomInfo(
            notebook_id,
            1,
            True,
            kernel_type="python",
            env_source="uv:inline",
            kernel_status=status,
            kernel_pid=pid,
            kernel_id=kernel_id,
        )

    listed = pool.RoomsList(
        [
            kernel("untitled", "beef00000002", 4712, "idle"),
            kernel(notebook, "cafe00000001", 4711, "busy"),
            pool.RoomInfo("without", 3, False),
        ],
        [pool.WarmKernel("fade00000003", 4713, "python", "uv:prewarmed")],
    )
    pretend(lambda request: listed)
    used = {4711: Usage(7200.0, 1800.0, 212_345_678, 3), 4713: Usage(8.0, 0.5, 61_000_000, 1)}
    monkeypatch.setattr(
        "runt_cli.running_kernels.usage",
        lambda pids: {pid: used[pid] for pid in pids if pid in used},
    )
    return notebook


def test_kernels_as_a_table(kernels: str) -> None:
    done = run_command("ps")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ID            NOTEBOOK             KERNEL  ENV           STATUS   PID  AGE  CPU  MEMORY  "
        "SOURCE",
        "cafe00000001  ~/my notebook.ipynb  python  uv:inline     busy    4711  2 h  25%  212 MB  "
        "runtimed",
        "beef00000002  untitled             python  uv:inline     idle    4712    -    -       -  "
        "runtimed",
        "fade00000003  -                    python  uv:prewarmed  warm    4713  8 s   6%   61 MB  "
        "runtimed",
    ]


def test_forty_columns_keep_what_names_a_kernel(
    kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, headers, _, first, *_ = run_in_terminal(monkeypatch, 40, "ps")
    assert headers.split() == ["│", "ID", "│", "NOTEBOOK", "│", "STATUS", "│"]
    assert first.split() == ["│", "cafe00000001", "│", "my", "notebook…", "│", "busy", "│"]
    assert len(first) <= 40
    wider = run_in_terminal(monkeypatch, 56, "ps")[1]
    assert "PID" not in wider
    assert "MEMORY" in wider


def test_kernels_as_json(kernels: str) -> None:
    first, second, warm = json.loads(run_command("ps", "--json").stdout)
    assert first == {
        "notebook_id": kernels,
        "active_peers": 1,
        "has_kernel": True,
        "kernel_type": "python",
        "env_source": "uv:inline",
        "kernel_status": "busy",
        "kernel_pid": 4711,
        "kernel_id": "cafe00000001",
        "source": "runtimed",
        "kernel_name": None,
        "connection_file": None,
        "state": "busy",
        "queued": 0,
        "loading": False,
        "path": None,
        "unsaved": False,
        "age_secs": 7200.0,
        "cpu_secs": 1800.0,
        "cpu_percent": 25.0,
        "memory_bytes": 212_345_678,
        "processes": 3,
    }
    assert second["notebook_id"] == "untitled"
    assert second["memory_bytes"] is None
    assert first.keys() == second.keys() == warm.keys()
    assert warm == {
        "notebook_id": None,
        "active_peers": 0,
        "has_kernel": True,
        "kernel_type": "python",
        "env_source": "uv:prewarmed",
        "kernel_status": "warm",
        "kernel_pid": 4713,
        "kernel_id": "fade00000003",
        "source": "runtimed",
        "kernel_name": None,
        "connection_file": None,
        "state": "warm",
        "queued": 0,
        "loading": False,
        "path": None,
        "unsaved": False,
        "age_secs": 8.0,
        "cpu_secs": 0.5,
        "cpu_percent": 6.2,
        "memory_bytes": 61_000_000,
        "processes": 1,
    }


def test_ids_alone_are_those_that_can_be_stopped(kernels: str) -> None:
    assert run_command("ps", "-q").stdout == "cafe00000001\nbeef00000002\n"


def test_a_warm_kernel_is_nothing_to_stop(kernels: str) -> None:
    done = run_command("stop", "fade")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "fade00000003: warm, no notebook's yet. 'runt daemon flush' ends such kernels\n"
    )


def test_all_are_also_the_notebooks_without_a_kernel(kernels: str) -> None:
    listed = json.loads(run_command("ps", "--all", "--json").stdout)
    assert [each["notebook_id"] for each in listed] == [kernels, "untitled", "without", None]
    assert [each["has_kernel"] for each in listed[:3]] == [True, True, False]
    rows = run_command("ps", "-a").stdout.splitlines()
    assert rows[3].split() == ["-", "without", *"-------", "runtimed"]
    assert run_command("ps", "-aq").stdout == "cafe00000001\nbeef00000002\nwithout\n"


def test_no_kernel_runs(pretend: Pretend) -> None:
    pretend(lambda request: pool.RoomsList([pool.RoomInfo("without", 3, False)]))
    assert run_command("ps").stdout == "No running kernels.\n"
    assert run_command("ps", "--json").stdout == "[]\n"
    assert run_command("ps", "-q").stdout == ""


def test_a_daemon_of_an_older_version_names_neither_kernels_nor_processes(
    pretend: Pretend,
) -> None:
    def answer(request: Any) -> Any:
        return pool.RoomsList([pool.RoomInfo("n", 0, True, kernel_status="idle")])

    pretend(answer)
    assert run_command("ps", "-q").stdout == "n\n"
    assert run_command("ps").stdout.splitlines()[1].split() == [
        *"-n--",
        "idle",
        *"----",
        "runtimed",
    ]


def test_what_a_kernel_uses_is_read_from_the_system(pretend: Pretend) -> None:
    def answer(request: Any) -> Any:
        room = pool.RoomInfo("n", 0, True, kernel_status="idle", kernel_pid=os.getpid())
        return pool.RoomsList([room])

    pretend(answer)
    (kernel,) = json.loads(run_command("ps", "--json").stdout)
    assert kernel["memory_bytes"] > 10_000_000
    assert kernel["cpu_secs"] > 0
    assert kernel["processes"] >= 1


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of Jupyter: a kernel of this process that listens and says nothing, and the
    file of one that is long gone."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    monkeypatch.setattr("runt_cli.running_kernels._JUPYTER_LIMIT", 0.3)
    with ExitStack() as open_sockets:
        for name, listens in (("runt-kernel-bold-otter", True), ("kernel-gone", False)):
            ports = {}
            for channel in ("shell", "iopub", "stdin", "control", "hb"):
                listener = socket.create_server(("127.0.0.1", 0))
                ports[f"{channel}_port"] = listener.getsockname()[1]
                if listens:
                    open_sockets.enter_context(listener)
                else:
                    listener.close()
            content = {"transport": "tcp", "ip": "127.0.0.1", "key": "k", "kernel_name": "python3"}
            (folder / f"{name}.json").write_text(json.dumps(content | ports))
        yield folder


def test_kernels_with_a_connection_file_come_last(kernels: str, jupyter: Path) -> None:
    *ours, theirs = run_command("ps").stdout.splitlines()
    assert [line.split()[-1] for line in ours] == ["SOURCE", *["runtimed"] * 3]
    fields = theirs.split()
    assert fields[:4] == ["bold-otter", "-", "python3", "-"]
    assert fields[4:6] == ["unresponsive", str(os.getpid())]
    assert fields[-1] == "jupyter"
    first, *_, kernel = json.loads(run_command("ps", "--json").stdout)
    assert kernel.keys() == first.keys()
    assert {key: value for key, value in kernel.items() if value is not None} == {
        "active_peers": 0,
        "has_kernel": True,
        "queued": 0,
        "loading": False,
        "unsaved": False,
        "kernel_id": "bold-otter",
        "kernel_name": "python3",
        "kernel_status": "unresponsive",
        "state": "unresponsive",
        "kernel_pid": os.getpid(),
        "connection_file": str(jupyter / "runt-kernel-bold-otter.json"),
        "source": "jupyter",
    }


def test_they_can_not_be_stopped_as_notebooks_and_are_not_offered(
    kernels: str, jupyter: Path
) -> None:
    assert "bold-otter" not in run_command("ps", "-q").stdout
    done = run_command("stop", "bold-otter")
    assert (done.exit_code, done.stdout) == (1, "")
    line = "bold-otter is a kernel of Jupyter: use 'runt jupyter stop bold-otter'\n"
    assert done.stderr == line
    assert run_command("stop", "bold").stderr == line


def test_they_are_listed_without_a_daemon_which_is_an_error_all_the_same(
    pretend: Pretend, jupyter: Path, tmp_path: Path
) -> None:
    done = run_command("ps")
    assert done.exit_code == 3
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ID", "bold-otter"]
    assert done.stderr == "Daemon not running. 'runt daemon start' starts it\n"
