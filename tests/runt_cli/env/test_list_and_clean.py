"""Whole outputs of `runt env list` and `runt env clean`, over a made-up cache."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result

from runt_cli.root import runt
from runtimed.environments import inventory
from runtimed.environments.cache_folders import Hold, complete, hold, new_folder

Make = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    for name in ("RUNTIMED_SOCKET_PATH", "RUNTIMED_DEV", "RUNTIMED_WORKSPACE_PATH"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "c" / "runt" / "inline-envs"
    root.mkdir(parents=True)
    return root


@pytest.fixture
def make(root: Path) -> Make:
    def make(letter: str, *packages: str, days: float = 0, ready: bool = True) -> Path:
        path = new_folder(root, "uv", letter * 64)
        path.mkdir()
        (path / "data").write_bytes(b"x" * 5000)
        now = time.time() - days * 86400
        if ready:
            complete(path, letter * 64, packages, now)
        held = hold(path)
        assert held is not None
        held.release()
        os.utime(root / f".{path.name}.use", (now, now))
        return path

    return make


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(runt, ["env", *arguments])


def test_an_empty_list(root: Path) -> None:
    assert _run("list").stdout == "No environments.\n"
    assert json.loads(_run("list", "--json").stdout) == []
    assert _run("clean").stdout == (
        "Nothing to remove: no environment is in the cache. "
        "The pools' go with 'runt daemon flush'.\n"
    )


def test_the_list_names_size_age_use_and_packages(root: Path, make: Make) -> None:
    old, new = make("a", "numpy", "rich>=13", days=3), make("b", "toolz")
    held = hold(new)
    done = _run("list")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["WHAT", "KIND", "SIZE"]
    assert lines[1][:4] == ["cached", "uv", "5", "kB"]
    assert lines[1][-3:] == ["yes", "toolz", f"~/c/runt/inline-envs/{new.name}"]
    assert lines[2][4:6] == ["3", "d"]
    assert lines[2][-4:] == ["no", "numpy,", "rich>=13", f"~/c/runt/inline-envs/{old.name}"]
    assert isinstance(held, Hold)
    held.release()
    told = json.loads(_run("list", "--json").stdout)
    assert [(one["path"], one["in_use"]) for one in told] == [(str(new), False), (str(old), False)]


def test_cleaning_removes_what_was_long_unused_and_leftovers(root: Path, make: Make) -> None:
    old, new, rest = make("a", days=31), make("b", days=29), make("c", ready=False)
    dry = _run("clean", "--dry-run")
    assert dry.stdout.endswith("Would remove 2 environments, 10 kB.\n")
    assert old.exists()
    done = _run("clean")
    assert done.exit_code == 0
    assert f"Removed ~/c/runt/inline-envs/{old.name} (5 kB)\n" in done.stdout
    assert [path.exists() for path in (old, new, rest)] == [False, True, False]
    assert json.loads(_run("clean", "--older-than", "28d", "--json").stdout)["removed"] == [
        str(new)
    ]


def test_nothing_in_use_is_removed_even_by_all(root: Path, make: Make) -> None:
    used, unused = make("a", days=99), make("b")
    held = hold(used)
    assert held is not None
    assert "Removed 1 environment, 5 kB.\n" in _run("clean", "--all").stdout
    assert (used.exists(), unused.exists()) == (True, False)
    held.release()


def test_a_copy_is_listed_with_the_packages_of_what_it_is_a_copy_of(root: Path, make: Make) -> None:
    make("a", "numpy", "rich>=13")
    new_folder(root, "uv", "a" * 64, "own").mkdir()
    listed = {one["origin"]: one for one in json.loads(_run("list", "--json").stdout)}
    assert listed["copy"]["packages"] == listed["cached"]["packages"] == ["numpy", "rich>=13"]


def test_what_is_left_alone_is_explained(root: Path, make: Make) -> None:
    used = make("a", days=99)
    held = hold(used)
    assert held is not None
    for arguments in (("--all",), ("--all", "--dry-run"), ()):
        told = _run("clean", *arguments).stdout
        assert told.startswith("Nothing to remove: the only environment is in use. ")
    make("b", days=3)
    told = _run("clean").stdout
    assert told.startswith("Nothing to remove: of 2 cached 1 in use, and none was unused for 30 d.")
    held.release()


def test_forty_columns_keep_packages_and_paths(
    root: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a", "numpy")
    monkeypatch.setattr("runt_cli.terminal.is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "40")
    headers = _run("list").stdout.splitlines()[1]
    assert [word for word in headers.split() if word != "│"] == ["SIZE", "PACKAGES", "PATH"]


def test_the_help_explains_every_kind_that_is_listed() -> None:
    told = _run("list", "--help").stdout
    for word in get_args(inventory.Origin):
        assert f"`{word}`" in told


def test_times_that_are_none_are_refused(root: Path) -> None:
    done = _run("clean", "--older-than", "soon")
    assert done.exit_code == 2
    assert "'soon' is no duration: write it like 12h, 30d or 2w." in done.stderr
    assert "exclude each other" in _run("clean", "--all", "--older-than", "1d").stderr
