from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from pathlib import Path

import pytest

from runtimed.daemon import singleton
from runtimed.daemon.lock_file import read_holder
from runtimed.daemon.singleton import hold_lock, read_info, record_workspace
from runtimed.errors import AnotherDaemonRunning, StateDirectoryUnusable


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "daemon.lock"


def test_the_lock_says_who_holds_it(lock: Path) -> None:
    lock.write_text("123456789 of an earlier daemon\n")
    with hold_lock(lock, lock.with_name("daemon.json")):
        holder = read_holder(lock)
        assert holder is not None
        assert (holder.process.pid, holder.role) == (os.getpid(), "daemon")
        with (
            pytest.raises(AnotherDaemonRunning, match=r"\nRunning daemon: pid=0, endpoint=unknown"),
            hold_lock(lock, lock.with_name("daemon.json")),
        ):
            pass
    assert lock.read_bytes() == b""
    with hold_lock(lock, lock.with_name("daemon.json")):
        pass


def test_a_command_that_holds_the_lock_is_named_as_what_it_is(lock: Path) -> None:
    with (
        hold_lock(lock, lock.with_name("daemon.json"), "runt dev clean"),
        pytest.raises(AnotherDaemonRunning, match=rf"'runt dev clean' \(pid {os.getpid()}\)"),
        hold_lock(lock, lock.with_name("daemon.json")),
    ):
        pass


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1\n",
        b"%d\n" % os.getpid(),
        b"99999999999",
        b"9" * 5000,
        b"\xff\x00",
        b"[]",
        b'{"pid": 99999999999, "started": "1", "boot": "b", "role": "daemon"}',
        b'{"pid": -1, "started": "1", "boot": "b", "role": "daemon"}',
        b'{"pid": %d, "started": "", "boot": "", "role": "daemon"}' % os.getpid(),
        b'{"pid": %d, "started": "1", "boot": "another", "role": "daemon"}' % os.getpid(),
    ],
)
def test_a_lock_file_names_nobody_who_did_not_write_it(lock: Path, content: bytes) -> None:
    lock.write_bytes(content)
    assert read_holder(lock) is None


def test_a_full_disk_is_told_with_a_remedy(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    info = lock.with_name("daemon.json")
    monkeypatch.setattr(os, "pwrite", full)
    with (
        pytest.raises(StateDirectoryUnusable, match=r"No space left on device\. Free some space"),
        hold_lock(lock, info),
    ):
        pass
    write_bytes = Path.write_bytes

    def write_half(path: Path, data: bytes) -> int:
        write_bytes(path, data[:1])
        return full()

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with (
        pytest.raises(StateDirectoryUnusable, match=r"No space left on device\. Free some space"),
        singleton.write_info(info, singleton.DaemonInfo("/s", 1, "1", "now")),
    ):
        pass
    assert [path.name for path in lock.parent.iterdir()] == ["daemon.lock"]


def test_who_only_looks_is_not_taken_for_a_daemon(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        # Whoever looks lets go at some time; here it is while the daemon waits.
        monkeypatch.setattr(time, "sleep", lambda seconds: fcntl.flock(looking, fcntl.LOCK_UN))
        with hold_lock(lock, lock.with_name("daemon.json")):
            holder = read_holder(lock)
        assert holder is not None
        assert (holder.process.pid, holder.role) == (os.getpid(), "daemon")


def test_a_folder_that_is_removed_meanwhile_is_not_used(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = singleton._acquire

    def acquire_late(descriptor: int) -> bool:
        shutil.rmtree(lock.parent)
        return acquire(descriptor)

    monkeypatch.setattr(singleton, "_acquire", acquire_late)
    with (
        pytest.raises(StateDirectoryUnusable, match="was removed meanwhile"),
        hold_lock(lock, lock.with_name("daemon.json")),
    ):
        pass


def test_a_link_is_no_lock(lock: Path, tmp_path: Path) -> None:
    lock.symlink_to(tmp_path / "precious")
    with (
        pytest.raises(StateDirectoryUnusable, match="can't be made"),
        hold_lock(lock, lock.with_name("daemon.json")),
    ):
        pass
    assert not (tmp_path / "precious").exists()


def test_a_workspace_that_can_not_be_noted_is_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    info = singleton.DaemonInfo("/s", 1, "1", "now", worktree_path="/w")
    record_workspace(tmp_path / "workspace.json", info)
    assert b'"worktree_path": "/w"' in (tmp_path / "workspace.json").read_bytes()
    record_workspace(tmp_path / "missing" / "workspace.json", info)
    assert "the workspace is not recorded" in caplog.text
    assert read_info(tmp_path / "workspace.json") is None
