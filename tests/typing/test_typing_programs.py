"""Programs in the style of users, under a strict type checker that sees an installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAMS = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.real
def test_programs_are_checked_against_the_installed_package(tmp_path: Path) -> None:
    """Nothing but the package's own annotations and its `py.typed` are at hand."""
    copies = [shutil.copy(path, tmp_path) for path in PROGRAMS]
    environ = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    cache = HERE.parents[1] / ".mypy_cache" / "installed"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", cache, *copies],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout == f"Success: no issues found in {len(copies)} source files\n", done.stdout
    assert done.stderr == ""
