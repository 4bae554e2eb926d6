"""Our own programs import nothing from the folder they are started in."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.parametrize("version", sorted({(3, 10), sys.version_info[:2]}))
def test_modules_in_the_current_folder_are_not_imported(
    planted: Path, version: tuple[int, int]
) -> None:
    done = subprocess.run(
        own_program("runtimed", "run", "--help", version=version),
        cwd=planted,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--socket" in done.stdout
    assert "runtimed run" in done.stdout


def test_daemon_run_imports_nothing_from_beside_notebooks(planted: Path) -> None:
    done = subprocess.run(
        own_program("runt_cli", "daemon", "run", "--help"),
        cwd=planted,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--socket" in done.stdout
