"""Our own programs import nothing from the folder they are started in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtimed.own_programs import own_program

pytestmark = pytest.mark.real


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with modules named like what programs import; each says so when it is imported."""
    for name in ("runpy", "trio", "random", "queue", "click", "runtimed", "runt_cli"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted: ' + __file__)\n")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        own_program("runtimed", "run", "--help", version=(3, 10)),
        own_program("runtimed", "run", "--help"),
        own_program("runt_cli", "daemon", "run", "--help"),  # starts another in its place
    ],
)
def test_modules_in_the_current_folder_are_not_imported(planted: Path, command: list[str]) -> None:
    done = subprocess.run(command, cwd=planted, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--socket" in done.stdout
