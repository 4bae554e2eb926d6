"""Every example in the help of the commands about notebooks, run as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend, run_command

from runtimed.protocol import pool

__all__ = ["pretend"]

pytestmark = pytest.mark.real

UNTITLED = "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77"
COMMANDS = ("ps", "notebooks", "rooms", "stop", "interrupt", "inspect", "open")


def examples(*command: str) -> list[str]:
    """The example lines of a command's help, without the remarks behind some of them."""
    lines = run_command(*command, "--help").stdout.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.strip() in ("Example:", "Examples:"))
    found = []
    for line in lines[begin + 1 :]:
        if not line.startswith("    "):
            break
        found.append(line.strip().partition("   ")[0])
    return found


EXAMPLES = [example for command in COMMANDS for example in examples(command)]


def test_every_command_has_examples() -> None:
    for command in COMMANDS:
        assert any(f"runt {command}" in example for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_works_as_it_stands(pretend: Pretend, tmp_path: Path, example: str) -> None:
    path = str(tmp_path / "analysis.ipynb")
    rooms = pool.RoomsList(
        [
            pool.RoomInfo(UNTITLED, 1, True, kernel_status="idle", kernel_id="cafe00000001"),
            pool.RoomInfo(path, 1, True, kernel_status="idle", kernel_id="beef00000002"),
        ]
    )

    def answer(request: Any) -> Any:
        if isinstance(request, pool.ListRooms):
            return rooms
        if isinstance(request, pool.InterruptNotebook):
            return pool.NotebookInterrupted(True, True, True, 0)
        if isinstance(request, pool.InspectNotebook):
            return pool.NotebookState(request.notebook_id, [], "live_room", None)
        return pool.NotebookShutdown(found=True)

    pretend(answer)
    for name in ("analysis.ipynb", "new.ipynb"):
        (tmp_path / name).write_text("{}")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", example.replace("jupyter lab", "true")],
        env={"RUNT_VIEWER": "true", **os.environ, "PATH": programs},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
