"""A state folder that others can have put something into is not used, and not by root either."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtimed.client.connect import ensure_daemon
from runtimed.errors import DaemonUnreachable, StateDirectoryUnusable
from runtimed.paths import Paths, paths_for_socket
from runtimed.state_folder import check_state_folder, open_log


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Of a socket in a folder that others may write to."""
    tmp_path.chmod(0o1777)
    paths = paths_for_socket(tmp_path / "x.sock")
    assert paths.base == tmp_path / "x.sock.d"
    return paths


def test_none_and_a_private_one_are_fine(paths: Paths) -> None:
    check_state_folder(paths)
    paths.base.mkdir(mode=0o700)
    check_state_folder(paths)


def _link(base: Path) -> None:
    target = base.with_name("target")
    target.mkdir(mode=0o700)
    base.symlink_to(target)


def _open_to_all(base: Path) -> None:
    base.mkdir()
    base.chmod(0o777)


def _open_to_a_group(base: Path) -> None:
    base.mkdir()
    base.chmod(0o770)


PLANTED = [
    (_link, "is a link. Remove it"),
    (lambda base: base.symlink_to("nowhere"), "is a link to nothing. Remove it"),
    (Path.touch, "is no folder. Remove it"),
    (_open_to_all, "Other users can write to the state directory"),
    (_open_to_a_group, "then remove it or 'chmod 700' it"),
]


@pytest.mark.parametrize(("plant", "words"), PLANTED)
def test_what_was_planted_stops_the_start_before_anything_is_opened(
    paths: Paths, plant: object, words: str
) -> None:
    plant(paths.base)  # type: ignore[operator]
    before = sorted(paths.base.parent.rglob("*"))
    with pytest.raises(DaemonUnreachable) as caught:
        ensure_daemon(paths, use_service=False, start_named=True)
    assert words in str(caught.value)
    assert sorted(paths.base.parent.rglob("*")) == before


def test_one_of_another_user_is_refused_to_root_too(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.base.mkdir(mode=0o700)
    owner = paths.base.stat().st_uid
    for uid in (owner + 1, 0 if owner else 1):
        monkeypatch.setattr(os, "getuid", lambda uid=uid: uid)
        with pytest.raises(StateDirectoryUnusable, match="belongs to another user"):
            check_state_folder(paths)


def test_a_users_own_link_to_a_larger_disk_is_fine(tmp_path: Path) -> None:
    base = tmp_path / "runt"
    _link(base)
    check_state_folder(Paths(base=base, socket=base / "runtimed.sock"))


def test_the_log_is_no_link_and_nothing_but_a_file(tmp_path: Path) -> None:
    log = tmp_path / "runtimed.log"
    os.close(open_log(log))
    log.rename(tmp_path / "precious")
    log.symlink_to(tmp_path / "precious")
    with pytest.raises(StateDirectoryUnusable, match="is a link"):
        open_log(log)
    log.unlink()
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(StateDirectoryUnusable, match="is no file of yours"):
            open_log(log)
    finally:
        os.close(reader)
