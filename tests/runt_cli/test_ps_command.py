"""`runt ps`: whole outputs, for what a daemon may say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend, run_command

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
        "age_secs": 7200.0,
        "cpu_secs": 1800.0,
        "cpu_percent": 25.0,
        "memory_bytes": 212_345_678,
        "processes": 3,
    }
    assert second["notebook_id"] == "untitled"
    assert "memory_bytes" not in second
    assert warm == {
        "kernel_type": "python",
        "env_source": "uv:prewarmed",
        "kernel_status": "warm",
        "kernel_pid": 4713,
        "kernel_id": "fade00000003",
        "source": "runtimed",
        "age_secs": 8.0,
        "cpu_secs": 0.5,
        "cpu_percent": 6.2,
        "memory_bytes": 61_000_000,
        "processes": 1,
    }


def test_ids_alone_are_those_that_can_be_stopped(kernels: str) -> None:
    assert run_command("ps", "-q").stdout == "cafe00000001\nbeef00000002\n"


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
