from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimed.environments.projects.project_file import ProjectKind
from runtimed.environments.projects.search import LARGEST, find_project_files

_DENO: tuple[ProjectKind, ...] = ("deno",)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder that the search does not leave."""
    (tmp_path / ".git").mkdir()
    return tmp_path


def _make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def _names(root: Path, start: Path, home: Path | None = None) -> list[str]:
    found = find_project_files(start, home=home)
    return [str(file.path.relative_to(root)) for file in found]


def test_the_nearest_folder_comes_first_and_the_order_of_kinds_breaks_ties(tree: Path) -> None:
    _make(tree, "pyproject.toml", "a/pixi.toml", "a/environment.yml", "a/environment.yaml")
    _make(tree, "a/b/environment.yaml", "a/b/c/notebook.ipynb", "a/pyproject.toml")
    found = _names(tree, tree / "a/b/c/notebook.ipynb")
    assert found == [
        "a/b/environment.yaml",
        "a/pyproject.toml",
        "a/pixi.toml",
        "a/environment.yml",
        "a/environment.yaml",
        "pyproject.toml",
    ]
    assert find_project_files(tree / "a/b")[0].content == b"a/b/environment.yaml"


def test_the_search_starts_in_a_folder_or_beside_a_file_also_one_not_written_yet(
    tree: Path,
) -> None:
    _make(tree, "a/pixi.toml", "a/n.ipynb")
    for start in ("a", "a/n.ipynb", "a/not_there.ipynb"):
        assert _names(tree, tree / start) == ["a/pixi.toml"]


def test_a_folder_with_git_is_the_last_that_is_looked_into(tree: Path) -> None:
    _make(tree, "pyproject.toml", "a/b/n.ipynb", "a/pixi.toml")
    (tree / "a/.git").write_text("gitdir: elsewhere")  # as in a worktree
    assert _names(tree, tree / "a/b/n.ipynb") == ["a/pixi.toml"]


def test_home_is_the_last_folder_that_is_looked_into(tree: Path) -> None:
    _make(tree, "pyproject.toml", "home/pixi.toml", "home/a/b/n.ipynb")
    link = tree / "other"
    link.symlink_to(tree / "home")
    for home in (tree / "home", link):
        assert _names(tree, tree / "home/a/b/n.ipynb", home) == ["home/pixi.toml"]
    assert _names(tree, tree / "other/a/b", tree / "home") == ["other/pixi.toml"]
    assert _names(tree, tree / "home/a", tree / "home/a") == []


def test_cycles_of_links_end(tree: Path) -> None:
    _make(tree, "a/b/n.ipynb", "pixi.toml")
    (tree / "a/b/up").symlink_to(tree / "a")
    (tree / "a/b/pyproject.toml").symlink_to("pyproject.toml")
    (tree / "a/self").symlink_to("self")
    start = tree / "a/b/up/b/up/b/up/b/n.ipynb"
    assert _names(tree, start) == ["pixi.toml"]
    assert _names(tree, tree / "a/self/n.ipynb") == ["pixi.toml"]


def test_what_is_no_file_is_no_project_file(tree: Path) -> None:
    _make(tree, "a/n.ipynb", "environment.yml")
    (tree / "a/pyproject.toml").mkdir()
    os.mkfifo(tree / "a/pixi.toml")
    (tree / "a/environment.yml").symlink_to("nowhere")
    assert _names(tree, tree / "a/n.ipynb") == ["environment.yml"]


def test_a_file_that_cannot_be_read_is_found_with_its_problem(tree: Path) -> None:
    _make(tree, "pixi.toml")
    (tree / "pyproject.toml").write_bytes(b"#" * (LARGEST + 1))
    large, fine = find_project_files(tree)
    assert large.problem == f"it is larger than {LARGEST} bytes"
    assert (fine.problem, fine.content) == (None, b"pixi.toml")


@pytest.fixture
def somebody(tree: Path) -> Iterator[Path]:
    """A folder of a user from whom things can be kept: nothing is kept from root."""
    if os.geteuid() != 0:
        yield tree
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            (Path(folder) / ".git").mkdir()
            yield Path(folder)
        finally:
            os.seteuid(0)


def test_folders_and_files_without_permission_hold_nothing_up(somebody: Path) -> None:
    _make(somebody, "pixi.toml", "a/pyproject.toml", "a/b/n.ipynb", "c/pyproject.toml")
    (somebody / "c/pyproject.toml").chmod(0)
    (somebody / "a").chmod(0)
    assert _names(somebody, somebody / "a/b/n.ipynb") == ["pixi.toml"]
    assert find_project_files(somebody / "c")[0].problem == "Permission denied"
    (somebody / "a").chmod(0o700)


@pytest.mark.parametrize("start", ["/" + "x" * 5000, "/a\0b", "/" + "y/" * 3000, "/\ud800"])
def test_an_impossible_path_finds_nothing(start: str) -> None:
    assert find_project_files(Path(start)) == ()


def test_deno_files_are_found_when_asked_for(tree: Path) -> None:
    _make(tree, "deno.json", "a/deno.jsonc", "a/pyproject.toml")
    found = find_project_files(tree / "a", _DENO)
    assert [file.path.name for file in found] == ["deno.jsonc", "deno.json"]
