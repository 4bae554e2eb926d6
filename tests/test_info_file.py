from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runt_cli.daemon.process import daemon_pid
from runtimed.client.daemon_client import DaemonClient
from runtimed.daemon.singleton import DaemonInfo, read_info
from runtimed.info_file import read_info_file
from runtimed.paths import Paths, default_paths

GOOD = {"endpoint": "/d.sock", "pid": 7, "version": "1", "started_at": "now", "blob_port": 80}


def test_what_is_good_is_told_with_what_nobody_knows(tmp_path: Path) -> None:
    info = tmp_path / "daemon.json"
    assert read_info_file(info) is None
    info.write_text(json.dumps(GOOD | {"later": [1]}))
    assert read_info_file(info) == GOOD | {"later": [1]}
    assert read_info(info) == DaemonInfo("/d.sock", 7, "1", "now", 80)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b"{", b"[" * 5000, b"9" * 5000])
def test_what_is_no_object_is_none(tmp_path: Path, content: bytes) -> None:
    info = tmp_path / "daemon.json"
    info.write_bytes(content)
    assert read_info_file(info) is None
    assert read_info(info) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("endpoint", "/a\0b"),
        ("endpoint", ""),
        ("endpoint", 7),
        ("pid", 99999999999),
        ("pid", 0),
        ("pid", -1),
        ("pid", True),
        ("pid", "12"),
        ("pid", None),
        ("version", {}),
        ("started_at", 5),
        ("blob_port", "80"),
        ("blob_port", 70000),
        ("worktree_path", "/a\0b"),
        ("workspace_description", []),
    ],
)
def test_a_value_that_can_not_be_is_left_out_everywhere(
    tmp_path: Path, key: str, value: object
) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    paths = default_paths(environ)
    paths.base.mkdir(mode=0o700, exist_ok=True)
    paths.info.write_text(json.dumps(GOOD | {key: value}))
    assert read_info_file(paths.info) == {name: GOOD[name] for name in GOOD if name != key}
    assert (read_info(paths.info) is None) == (key in DaemonInfo.__match_args__[:4])
    told = default_paths(environ)
    assert told.socket == (paths.socket if key == "endpoint" else Path("/d.sock"))
    assert daemon_pid(told) == (None if key == "pid" else 7)


def test_garbage_is_no_process_that_runs(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    paths = Paths(base=tmp_path, socket=tmp_path / "d.sock")
    for pid in (0, -1, 1 << 40, os.getpid() + 0.5):
        paths.info.write_text(json.dumps({"pid": pid}))
        assert not DaemonClient(paths.socket).is_running()
