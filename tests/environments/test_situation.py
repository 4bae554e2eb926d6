from __future__ import annotations

import os
import sys
from pathlib import Path

import attrs
import pytest

from runtimed.document.settings_values import Settings
from runtimed.environments.platforms import conda_platform, target_selectors
from runtimed.environments.resolution import resolve
from runtimed.environments.script_block import CodeCell
from runtimed.environments.situation import (
    code_cells,
    gather_situation,
    read_notebook_file,
    this_platform,
)
from runtimed.environments.wanted import UvProject
from runtimed.errors import NotebookUnreadable

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "notebooks").mkdir()
    return tmp_path


@pytest.mark.parametrize("start", ["notebooks", "notebooks/n.ipynb"])
def test_a_notebook_without_a_file_is_in_the_project_of_its_working_folder(
    project: Path, start: str
) -> None:
    situation = gather_situation(PYTHON, [], project / start, Settings())
    assert resolve(situation).wanted == UvProject(project / "pyproject.toml")
    assert situation.folder == project / "notebooks"


def test_a_notebook_that_is_nowhere_is_in_no_project() -> None:
    situation = gather_situation(PYTHON, [], None, Settings())
    assert (situation.project_files, situation.folder) == ((), None)
    assert resolve(situation).env_source == "uv:prewarmed"


def test_settings_hold_for_requests_as_for_the_launch_at_opening() -> None:
    settings = attrs.evolve(Settings(), default_python_env="conda", default_runtime="deno")
    for asked in ("auto", "prewarmed", ""):
        python = gather_situation(PYTHON, [], None, settings, env_source=asked)
        assert resolve(python).env_source == "conda:prewarmed"
        unsaid = gather_situation({}, [], None, settings, env_source=asked)
        assert resolve(unsaid).env_source == "deno"


def test_cells_keep_their_places_among_all_cells() -> None:
    cells = [("markdown", "# /// script"), ("code", "a"), ("raw", "b"), ("code", "c")]
    assert code_cells(cells) == (CodeCell(2, "a"), CodeCell(4, "c"))


def test_the_search_ends_at_home(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project / "notebooks"))
    assert gather_situation(PYTHON, [], project / "notebooks", Settings()).project_files == ()


def test_a_pipe_is_no_notebook_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "n.ipynb")
    for name in ("n.ipynb", "nowhere.ipynb", "a\0b", "x" * 300):
        with pytest.raises(NotebookUnreadable, match="Cannot access notebook"):
            read_notebook_file(tmp_path / name)


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-64"),
        ("linux", "aarch64", "linux-aarch64"),
        ("linux", "ppc64le", "linux-ppc64le"),
        ("darwin", "arm64", "osx-arm64"),
        ("darwin", "x86_64", "osx-64"),
        ("win32", "AMD64", "win-64"),
    ],
)
def test_platforms_are_called_as_conda_calls_them(system: str, machine: str, name: str) -> None:
    assert conda_platform(system, machine) == name


def test_this_platform_is_the_one_the_solver_finds() -> None:
    from rattler import Subdir

    assert this_platform() == str(Subdir.current())
    assert target_selectors(this_platform())[-2] == ("linux" if sys.platform == "linux" else "osx")
