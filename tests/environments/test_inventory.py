"""What is told of the environments on disk, and what is removed on demand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtimed.environments.cache_folders import (
    Hold,
    complete,
    hold,
    new_folder,
    remove_unused,
)
from runtimed.environments.directories import (
    Marker,
    Owner,
    new_environment_path,
    write_marker,
)
from runtimed.environments.environment import Kind
from runtimed.environments.inventory import Listed, clean, listing

DAY = 86400.0
NOW = 100 * DAY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inline-envs"
    folder.mkdir()
    return folder


def make(root: Path, key: str, packages: tuple[str, ...], used: float, kind: Kind = "uv") -> Path:
    path = new_folder(root, kind, key.ljust(16, "0"))
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").write_text("x" * 1000)
    complete(path, key.ljust(64, "0"), packages, NOW - 10 * DAY)
    lock = root / f".{path.name}.use"
    lock.touch()
    os.utime(lock, (used, used))
    return path


def copy_of(path: Path) -> Hold:
    copy = path.with_name("own-" + path.name.removeprefix("env-"))
    held = hold(copy)
    assert held is not None
    copy.mkdir()
    return held


def named(found: list[Listed]) -> list[Path]:
    return [one.path for one in found]


def test_listing_says_what_each_environment_is_and_the_last_used_comes_first(
    root: Path, tmp_path: Path
) -> None:
    old = make(root, "a", ("numpy",), NOW - 5 * DAY)
    new = make(root, "b", ("python=3.12", "scipy"), NOW - DAY, kind="conda")
    one, two = listing(root)
    assert (one.path, one.kind, one.origin, one.packages) == (
        new,
        "conda",
        "cached",
        ("python=3.12", "scipy"),
    )
    assert (two.path, two.created, two.last_used, two.in_use) == (
        old,
        NOW - 10 * DAY,
        NOW - 5 * DAY,
        False,
    )
    assert two.size >= 1000


def test_an_environment_is_in_use_while_it_or_a_copy_of_it_is_held(root: Path) -> None:
    path = make(root, "a", ("numpy",), NOW)
    held = hold(path)
    assert held is not None
    assert [one.in_use for one in listing(root)] == [True]
    held.release()
    copy = copy_of(path)
    assert {one.origin: one.in_use for one in listing(root)} == {"cached": True, "copy": True}
    copy.release()
    assert {one.origin: one.in_use for one in listing(root)} == {"cached": False, "copy": False}


def test_environments_of_pools_are_listed_with_those_that_kernels_have_taken(
    root: Path, tmp_path: Path
) -> None:
    pool = tmp_path / "envs"
    pool.mkdir()
    owner = Owner(pool)
    try:
        states = {}
        for state in ("ready", "claimed"):
            path = new_environment_path(pool, "uv")
            path.mkdir()
            write_marker(path, Marker(state, NOW, "f" * 64, owner.name))
            states[path] = state == "claimed"
        new_environment_path(pool, "conda").mkdir()  # not an environment yet
        found = listing(root, pool)
        assert {one.path: one.in_use for one in found} == states
        assert {one.origin for one in found} == {"pool"}
    finally:
        owner.close()
    assert [one.in_use for one in listing(root, pool)] == [False, False]


def test_cleaning_by_age_takes_what_is_old_and_not_in_use(root: Path) -> None:
    old = make(root, "a", (), NOW - 40 * DAY)
    make(root, "b", (), NOW - 20 * DAY)
    copied = make(root, "c", (), NOW - 40 * DAY)
    copy = copy_of(copied)
    before = sorted(root.iterdir())
    assert named(clean(root, now=NOW, older_than=30 * DAY, dry_run=True)) == [old]
    assert sorted(root.iterdir()) == before
    assert named(clean(root, now=NOW, older_than=30 * DAY)) == [old]
    assert not old.exists()
    assert len(listing(root)) == 3
    copy.release()


def test_cleaning_everything_leaves_what_is_held_and_takes_what_only_copies_need(
    root: Path,
) -> None:
    held_path = make(root, "a", (), NOW)
    copied = make(root, "b", (), NOW)
    held, copy = hold(held_path), copy_of(copied)
    assert held is not None
    assert named(clean(root, now=NOW, everything=True)) == [copied]
    assert sorted(named(listing(root))) == sorted([held_path, copy.path])
    held.release()
    copy.release()
    assert sorted(named(clean(root, now=NOW, everything=True))) == sorted([held_path, copy.path])
    assert listing(root) == []


def test_cleaning_without_more_takes_only_what_crashes_left(root: Path) -> None:
    kept = make(root, "a", (), NOW - 400 * DAY)
    half_built = new_folder(root, "uv", "b" * 16)
    half_built.mkdir()
    forgotten = copy_of(kept)
    forgotten.release()
    stranger = root / "something-of-others"
    stranger.mkdir()
    assert sorted(named(clean(root, now=NOW))) == sorted([half_built, forgotten.path])
    assert kept.exists()
    assert stranger.exists()


def test_what_cannot_be_removed_is_an_error_after_the_rest_is_gone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [make(root, key, (), NOW - DAY) for key in "abc"]

    def remove(root: Path, path: Path) -> bool:
        if path == paths[0]:
            raise PermissionError(13, "Permission denied")
        return remove_unused(root, path)

    monkeypatch.setattr("runtimed.environments.inventory.remove_unused", remove)
    with pytest.raises(PermissionError):
        clean(root, now=NOW, everything=True)
    assert [path.exists() for path in paths] == [True, False, False]


def test_there_is_nothing_to_list_or_clean_before_the_first_use(tmp_path: Path) -> None:
    assert listing(tmp_path / "cache", tmp_path / "pool") == []
    assert clean(tmp_path / "cache", now=NOW, everything=True) == []
