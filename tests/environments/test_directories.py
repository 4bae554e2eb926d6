from __future__ import annotations

import time
from pathlib import Path

import pytest

from runtimed.environments.directories import (
    MARKER,
    Marker,
    Owner,
    environments_in,
    is_environment,
    living_owners,
    new_environment_path,
    new_template_path,
    read_marker,
    remove_folder,
    templates_in,
    write_marker,
)


def test_templates_and_environments_have_names_of_one_length(tmp_path: Path) -> None:
    template = new_template_path(tmp_path, "uv", "0123456789abcdef" * 4)
    assert len(template.name) == len(new_environment_path(tmp_path, "uv").name)


def test_only_our_own_names_directly_below_the_root_are_ours(tmp_path: Path) -> None:
    ours = new_environment_path(tmp_path, "uv")
    assert is_environment(tmp_path, "uv", ours)
    assert not is_environment(tmp_path, "conda", ours)
    for other in (
        tmp_path,
        tmp_path / "runtimed-uv-",
        tmp_path / "runtimed-uv-x" / ".." / ".." / "home",
        tmp_path / "below" / ours.name,
        ours / "..",
        Path("/home"),
    ):
        assert not is_environment(tmp_path, "uv", other)
        with pytest.raises(ValueError, match="not one of our environments"):
            remove_folder(tmp_path, "uv", other)


def test_foreign_folders_under_the_root_are_never_listed(tmp_path: Path) -> None:
    ours = new_environment_path(tmp_path, "uv")
    template = new_template_path(tmp_path, "uv", "0" * 64)
    for path in (ours, template, tmp_path / "runtimed-uv-mine", tmp_path / "notes"):
        path.mkdir()
    assert environments_in(tmp_path, "uv") == [ours]
    assert templates_in(tmp_path, "uv") == [template]
    assert environments_in(tmp_path / "absent", "uv") == []


def test_a_marker_comes_back_as_it_was_written(tmp_path: Path) -> None:
    marker = Marker("ready", time.time(), "f" * 64, owner="o", compiled=True)
    write_marker(tmp_path, marker)
    assert read_marker(tmp_path) == marker
    assert [path.name for path in tmp_path.iterdir()] == [MARKER]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state":"odd"}', b'{"state":"ready"}'])
def test_an_unreadable_marker_is_no_marker(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARKER).write_bytes(content)
    assert read_marker(tmp_path) is None


def test_removing_never_follows_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    root = tmp_path / "root"
    root.mkdir()
    ours = new_environment_path(root, "uv")
    ours.mkdir()
    (ours / "link").symlink_to(outside)
    remove_folder(root, "uv", ours)
    assert not ours.exists()
    linked = new_environment_path(root, "uv")
    linked.symlink_to(outside)
    remove_folder(root, "uv", linked)
    assert not linked.is_symlink()
    assert (outside / "precious").exists()


def test_read_only_folders_are_removed_too(tmp_path: Path) -> None:
    ours = new_environment_path(tmp_path, "uv")
    (ours / "deep").mkdir(parents=True)
    (ours / "deep" / "file").write_text("x")
    (ours / "deep").chmod(0o500)
    remove_folder(tmp_path, "uv", ours)
    assert not ours.exists()
    remove_folder(tmp_path, "uv", ours)


def test_an_owner_is_known_as_alive_until_it_closes(tmp_path: Path) -> None:
    first, second = Owner(tmp_path), Owner(tmp_path)
    (tmp_path / f".owner-{'0' * 32}.lock").touch()  # of a daemon that was killed
    assert set(living_owners(tmp_path)) == {first.name, second.name}
    first.close()
    assert set(living_owners(tmp_path)) == {second.name}
    second.close()
    assert list(tmp_path.iterdir()) == []
