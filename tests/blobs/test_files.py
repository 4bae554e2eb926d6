from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson
import pytest

from runtimed.blobs.files import (
    BlobMeta,
    BlobWriter,
    blob_path,
    is_blob_hash,
    read_blob,
    read_meta,
    read_piece,
    remove_stale_files,
    sync_files,
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(root: Path, data: bytes, media_type: str = "text/plain") -> str:
    BlobWriter(root).write(sha256(data), data, media_type)
    return sha256(data)


def test_a_blob_lies_where_the_specification_says(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    blob_hash = put(root, b"hello", "text/x")
    folder = root / blob_hash[:2]
    assert sorted(p.name for p in folder.iterdir()) == [blob_hash[2:], blob_hash[2:] + ".meta"]
    assert (folder / blob_hash[2:]).read_bytes() == b"hello"
    text = (folder / (blob_hash[2:] + ".meta")).read_text()
    assert re.fullmatch(
        r'\{"media_type":"text/x","size":5,"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"\}',
        text,
    )


def test_nobody_else_may_look(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    path = blob_path(root, put(root, b"secret"))
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (root, path.parent, path)}
    assert modes == {root: 0o700, path.parent: 0o700, path: 0o600}
    assert stat.S_IMODE(path.with_name(path.name + ".meta").stat().st_mode) == 0o600


def test_the_first_media_type_wins(tmp_path: Path) -> None:
    writer = BlobWriter(tmp_path)
    assert writer.write(sha256(b"x"), b"x", "text/a") == str(blob_path(tmp_path, sha256(b"x")))
    assert writer.write(sha256(b"x"), b"x", "text/b") is None
    meta = read_meta(tmp_path, sha256(b"x"))
    assert meta is not None
    assert meta.media_type == "text/a"


def test_a_damaged_blob_is_repaired_by_the_next_put(tmp_path: Path) -> None:
    blob_hash = put(tmp_path, b"whole")
    path = blob_path(tmp_path, blob_hash)
    path.write_bytes(b"")
    assert read_blob(tmp_path, blob_hash) is None
    put(tmp_path, b"whole")
    assert read_blob(tmp_path, blob_hash) == b"whole"
    path.with_name(path.name + ".meta").unlink()
    put(tmp_path, b"whole", "text/new")
    assert read_meta(tmp_path, blob_hash) == BlobMeta("text/new", 5, _created(path))


def _created(path: Path) -> str:
    return str(orjson.loads(path.with_name(path.name + ".meta").read_bytes())["created_at"])


def test_an_empty_blob_is_a_blob(tmp_path: Path) -> None:
    assert read_blob(tmp_path, put(tmp_path, b"")) == b""


@pytest.mark.parametrize("sidecar", [None, b"", b"[]", b"{}", b'{"media_type":1}', b"\xff"])
def test_a_blob_without_a_good_sidecar_is_of_the_default_type(
    tmp_path: Path, sidecar: bytes | None
) -> None:
    blob_hash = put(tmp_path, b"data")
    path = blob_path(tmp_path, blob_hash)
    beside = path.with_name(path.name + ".meta")
    beside.unlink()
    if sidecar is not None:
        beside.write_bytes(sidecar)
    meta = read_meta(tmp_path, blob_hash)
    assert meta is not None
    assert meta.size == 4
    assert meta.media_type in ("application/octet-stream", "1")


def test_a_media_type_without_utf8_is_stored_all_the_same(tmp_path: Path) -> None:
    meta = read_meta(tmp_path, put(tmp_path, b"data", "text/\ud800"))
    assert meta is not None
    assert meta.media_type == "text/?"


def test_what_was_never_put_is_not_there(tmp_path: Path) -> None:
    assert read_blob(tmp_path, "0" * 64) is None
    assert read_meta(tmp_path, "0" * 64) is None


@pytest.mark.parametrize(
    "name", ["", "x", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "../" * 22]
)
def test_only_64_lower_case_hex_digits_are_a_hash(tmp_path: Path, name: str) -> None:
    assert not is_blob_hash(name)
    with pytest.raises(ValueError, match="not a blob hash"):
        blob_path(tmp_path, name)


def test_a_piece_is_cut_from_the_file(tmp_path: Path) -> None:
    blob_hash = put(tmp_path, b"0123456789")
    assert read_piece(tmp_path, blob_hash, 2, 3) == b"234"
    assert read_piece(tmp_path, blob_hash, 8, 30) == b"89"
    assert read_piece(tmp_path, blob_hash, 10, 1) == b""


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    blob_hash = sha256(b"data")
    target = blob_path(tmp_path, blob_hash)
    (target.parent / (target.name + ".meta") / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=r"[Dd]irectory"):
        put(tmp_path, b"data")
    assert [p.name for p in target.parent.iterdir()] == [target.name + ".meta"]


def test_threads_may_put_one_blob_at_once(tmp_path: Path) -> None:
    data = os.urandom(50_000)
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def race() -> None:
        try:
            start.wait(10)
            put(tmp_path, data)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read_blob(tmp_path, sha256(data)) == data
    assert len(list(blob_path(tmp_path, sha256(data)).parent.iterdir())) == 2


def test_syncing_passes_over_what_has_gone(tmp_path: Path) -> None:
    path = blob_path(tmp_path, put(tmp_path, b"data"))
    sync_files([str(path), str(tmp_path / "gone")])


@pytest.mark.real
def test_temporary_files_of_gone_writers_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    shard = blob_path(tmp_path, put(tmp_path, b"data")).parent
    young = [
        f".tmp.{gone.pid}.abc.1",
        f".tmp.{gone.pid}.abc.1.meta",
        f".tmp.{os.getpid()}.abc.1",
        ".tmp.550e8400-e29b-41d4-a716-446655440000",
        ".tmp.",
        ".tmp.0.x",
    ]
    for name in young:
        (shard / name).write_bytes(b"part")
    assert remove_stale_files(tmp_path, time.time()) == 2
    assert sorted(p.name for p in shard.iterdir() if p.name.startswith(".tmp")) == sorted(young[2:])
    assert remove_stale_files(tmp_path, time.time() + 3601) == 4
    assert len(list(shard.iterdir())) == 2


def test_looking_for_stale_files_needs_no_store(tmp_path: Path) -> None:
    assert remove_stale_files(tmp_path / "none", 0.0) == 0
