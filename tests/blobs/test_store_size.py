from __future__ import annotations

import hashlib
from pathlib import Path

from runtimed.blobs.files import BlobWriter
from runtimed.blobs.store_size import StoreSize, measure


def _store(root: Path, count: int) -> None:
    writer = BlobWriter(root)
    for number in range(count):
        data = b"%05d" % number
        writer.write(hashlib.sha256(data).hexdigest(), data, "text/plain")


def test_blobs_are_counted_without_their_sidecars(tmp_path: Path) -> None:
    _store(tmp_path, 300)
    (tmp_path / "00").mkdir(exist_ok=True)
    (tmp_path / "00" / ".tmp.1.x").write_bytes(b"no blob")
    assert measure(tmp_path, 60) == StoreSize(300, 1500)


def test_without_time_it_is_an_estimate(tmp_path: Path) -> None:
    for number in range(256):
        shard = tmp_path / f"{number:02x}"
        shard.mkdir()
        (shard / "b").write_bytes(b"12345")
    assert measure(tmp_path, 0) == StoreSize(256, 1280, exact=False)


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert measure(tmp_path / "none", 60) == StoreSize(0, 0)
