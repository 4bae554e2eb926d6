from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runtimed.blobs import store as store_module
from runtimed.blobs.files import read_blob
from runtimed.blobs.store import MAX_BLOB_SIZE, BlobStore
from runtimed.errors import BlobStoreFull, BlobTooLarge


def refuse(root: Path, blob_hash: str) -> Path:
    """Make the disk refuse one blob, also to root: a file lies where its directory belongs."""
    root.mkdir(exist_ok=True)
    obstacle = root / blob_hash[:2]
    obstacle.write_bytes(b"")
    return obstacle


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what files and threads don't announce."""
    while True:
        if condition():
            return
        await trio.sleep(0.005)


def files(root: Path, pattern: str) -> list[Path]:
    return [path for path in root.glob(pattern) if path.is_file()]


def distinct(count: int) -> list[bytes]:
    """Blobs in directories of their own."""
    blobs: dict[str, bytes] = {}
    number = 0
    while len(blobs) < count:
        data = b"blob %d" % number
        blobs.setdefault(hashlib.sha256(data).hexdigest()[:2], data)
        number += 1
    return list(blobs.values())


async def test_a_blob_is_readable_at_once_and_later_from_disk(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    store = BlobStore(tmp_path)
    data = b"x" * 100_000
    blob_hash = store.put_nowait(data, "text/plain")
    assert blob_hash == hashlib.sha256(data).hexdigest()
    assert store.read(blob_hash) == await store.load(blob_hash) == data
    assert store.in_memory(blob_hash) == (data, "text/plain")
    assert store.pending_bytes == 100_000
    assert not store.path(blob_hash).exists()
    meta = store.meta(blob_hash)
    assert meta is not None
    assert (meta.media_type, meta.size) == ("text/plain", 100_000)
    assert await nursery.start(store.run) is store
    with trio.fail_after(30):
        await store.flushed()
    assert store.pending_bytes == 0
    assert store.in_memory(blob_hash) is None
    assert store.path(blob_hash).read_bytes() == data
    assert store.read(blob_hash) == await store.load(blob_hash) == data
    assert store.meta(blob_hash) is not None
    assert repr(store) == f"<BlobStore {tmp_path}: 0 waiting, 0 bytes>"


async def test_a_put_that_returned_is_on_disk(tmp_path: Path, nursery: trio.Nursery) -> None:
    store = await nursery.start(BlobStore(tmp_path).run)
    with trio.fail_after(30):
        for data in (b"small", bytes(2**20 + 1)):
            blob_hash = await store.put(data, "a/b")
            assert read_blob(tmp_path, blob_hash) == data
            assert await store.put(data, "a/b") == blob_hash


async def test_a_small_blob_is_read_from_memory_after_it_was_written(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    store = await nursery.start(BlobStore(tmp_path).run)
    blob_hash = await store.put(b"manifest", "a/b")
    shutil.rmtree(tmp_path)
    assert store.read(blob_hash) == b"manifest"


async def test_memory_for_recent_blobs_is_bounded(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_RECENT_BYTES", 1000)
    store = await nursery.start(BlobStore(tmp_path).run)
    hashes = [store.put_nowait(b"%0400d" % number, "a/b") for number in range(5)]
    await store.flushed()
    shutil.rmtree(tmp_path)
    assert [store.read(h) is not None for h in hashes] == [False, False, False, True, True]


async def test_what_is_not_there_reads_as_none(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    for name in ("0" * 64, "../../etc/passwd", "", "A" * 64):
        assert store.read(name) is None
        assert await store.load(name) is None
        assert store.meta(name) is None
    with pytest.raises(ValueError, match="not a blob hash"):
        store.path("../../etc/passwd")


async def test_a_blob_has_a_largest_size(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with pytest.raises(BlobTooLarge, match=r"^blob too large: 104857601 bytes \(max 104857600\)$"):
        store.put_nowait(bytes(MAX_BLOB_SIZE + 1), "a/b")
    with pytest.raises(BlobTooLarge):
        await store.put(bytes(MAX_BLOB_SIZE + 1), "a/b", "0" * 64)
    store.put_nowait(bytes(MAX_BLOB_SIZE), "a/b", "0" * 64)


async def test_equal_blobs_wait_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    assert store.put_nowait(b"12345", "a/b") == store.put_nowait(b"12345", "c/d")
    assert store.pending_bytes == 5


async def test_two_stores_may_put_the_same_blobs_at_once(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    stores = [await nursery.start(BlobStore(tmp_path).run) for _ in range(3)]
    data = [b"%d" % number * 100 for number in range(100)]
    for blob in data:
        for store in stores:
            store.put_nowait(blob, "a/b")
    with trio.fail_after(30):
        for store in stores:
            await store.flushed()
    assert all(read_blob(tmp_path, hashlib.sha256(blob).hexdigest()) == blob for blob in data)
    assert len(files(tmp_path, "*/*")) == 200


async def test_blobs_are_written_in_the_order_of_the_puts(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    store = BlobStore(tmp_path)
    blobs = distinct(5)
    hashes = [store.put_nowait(data, "a/b") for data in blobs]
    obstacle = refuse(tmp_path, hashes[2])
    await nursery.start(store.run)
    with trio.fail_after(30):
        await wait_until(lambda: store.refusal is not None)
        assert [store.path(h).parent.is_dir() for h in hashes] == [True, True, False, False, False]
        assert [store.read(h) for h in hashes] == blobs
        obstacle.unlink()
        await store.flushed()
    assert all(store.path(h).exists() for h in hashes)
    assert store.refusal is None


async def test_a_refusing_disk_is_logged_once_and_tried_again(
    tmp_path: Path,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "_FIRST_RETRY", 0.01)
    caplog.set_level(logging.INFO, "runtimed.blobs")
    store = await nursery.start(BlobStore(tmp_path).run)
    [data] = distinct(1)
    obstacle = refuse(tmp_path, hashlib.sha256(data).hexdigest())
    with trio.fail_after(30):
        with pytest.raises(BlobStoreFull, match=r"blob can't be written: .*Not a directory"):
            await store.put(data, "a/b")
        with trio.move_on_after(0.1) as waited:
            await store.flushed()
        assert waited.cancelled_caught
        assert [r.message.split(" error=")[0] for r in caplog.records] == ["disk refuses blobs"]
        obstacle.unlink()
        await store.flushed()
    assert store.path(hashlib.sha256(data).hexdigest()).read_bytes() == data
    assert [r.message.split("=")[0] for r in caplog.records[1:]] == [
        "disk takes blobs again waiting_bytes"
    ]


async def test_no_more_than_a_quarter_of_a_gibibyte_waits_for_a_refusing_disk(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    store = BlobStore(tmp_path)
    hashes = [f"{number:02x}" + "0" * 62 for number in range(4)]
    obstacle = refuse(tmp_path, hashes[0])
    store.put_nowait(b"refused", "a/b", hashes[0])
    for blob_hash in hashes[1:3]:
        store.put_nowait(bytes(MAX_BLOB_SIZE), "a/b", blob_hash)
    await nursery.start(store.run)
    with trio.fail_after(30):
        await wait_until(lambda: store.refusal is not None)
        with pytest.raises(BlobStoreFull, match="209715207 bytes wait in memory, the disk refuses"):
            store.put_nowait(bytes(MAX_BLOB_SIZE), "a/b", hashes[3])
        store.put_nowait(b"there is still room for small ones", "a/b")
        assert len(store.read(hashes[2]) or b"") == MAX_BLOB_SIZE
    store._waiting.clear()  # so that the drain doesn't write 200 MB
    obstacle.unlink()


async def test_a_healthy_disk_is_given_time_for_several_large_blobs(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    for number in range(10):
        store.put_nowait(bytes(MAX_BLOB_SIZE), "a/b", f"{number:02x}" + "0" * 62)
    with pytest.raises(BlobStoreFull, match="slow disk"):
        store.put_nowait(bytes(MAX_BLOB_SIZE), "a/b", "f" * 64)


async def test_a_cancelled_store_writes_what_waits(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            hashes = [store.put_nowait(b"%d" % number, "a/b") for number in range(60)]
            nursery.cancel_scope.cancel()
    assert store.pending_bytes == 0
    assert all(store.path(h).exists() for h in hashes)


async def test_a_store_cancelled_while_it_writes_loses_nothing(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            hashes = [store.put_nowait(b"%d" % number, "a/b") for number in range(60)]
            await wait_until(lambda: store.path(hashes[0]).exists())
            nursery.cancel_scope.cancel()
    assert all(store.path(h).exists() for h in hashes)
    assert not files(tmp_path, "*/.tmp*")


async def test_a_refusing_disk_does_not_hold_up_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = BlobStore(tmp_path)
    [data] = distinct(1)
    refuse(tmp_path, hashlib.sha256(data).hexdigest())
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            store.put_nowait(data, "a/b")
            nursery.cancel_scope.cancel()
    assert caplog.records[-1].message.startswith("blobs lost count=1 bytes=6 error=[Errno 20]")
    with pytest.raises(BlobStoreFull, match="has ended"):
        await store.flushed()


async def test_flushing_waits_for_earlier_puts_only(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_FIRST_RETRY", 0.01)
    store = BlobStore(tmp_path)
    hashes = [store.put_nowait(data, "a/b") for data in distinct(1)]
    obstacle = refuse(tmp_path, hashes[0])
    await nursery.start(store.run)
    with trio.fail_after(30):
        async with trio.open_nursery() as waiting:
            waiting.start_soon(store.flushed)
            await wait_until(lambda: store.refusal is not None)
            hashes.append(store.put_nowait(distinct(2)[1], "a/b"))
            later_obstacle = refuse(tmp_path, hashes[1])
            obstacle.unlink()
    assert [store.path(h).parent.is_dir() for h in hashes] == [True, False]
    later_obstacle.unlink()


async def test_written_files_are_synced_when_it_is_quiet(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_SYNC_QUIET", 0.01)
    store = await nursery.start(BlobStore(tmp_path).run)
    with trio.fail_after(30):
        for number in range(40):
            await store.put(b"%d" % number, "a/b")
        await wait_until(lambda: not store._unsynced)
        await store.put(b"and goes on", "a/b")


async def test_leftovers_of_a_crash_are_removed_at_the_start(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    leftover = tmp_path / "ab" / ".tmp.999999999.x.1"
    leftover.parent.mkdir()
    leftover.write_bytes(b"part")
    await nursery.start(BlobStore(tmp_path).run)
    with trio.fail_after(30):
        await wait_until(lambda: not leftover.exists())


PUTTER = """
import sys, trio
from pathlib import Path
from runtimed.blobs.store import BlobStore
async def main():
    async with trio.open_nursery() as nursery:
        store = await nursery.start(BlobStore(Path(sys.argv[1])).run)
        number = 0
        while True:
            for _ in range(20):
                number += 1
                store.put_nowait(b"%d" % number * (number % 7 * 20_000 + 1), "text/plain")
            if number == 400:
                print("busy", flush=True)
            await trio.sleep(0.002)
trio.run(main)
"""


@pytest.mark.real
@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1])
async def test_a_kill_during_puts_leaves_no_partial_blob(tmp_path: Path, delay: float) -> None:
    def kill_while_busy() -> None:
        putter = [sys.executable, "-c", PUTTER, str(tmp_path)]
        with subprocess.Popen(putter, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"busy\n"
            signal_after(process, delay)

    def signal_after(process: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)

    with trio.fail_after(30):
        await trio.to_thread.run_sync(kill_while_busy)
    blobs = files(tmp_path, "??/" + "?" * 62)
    assert blobs
    for path in blobs:
        assert path.parent.name + path.name == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.with_name(path.name + ".meta").exists()


@pytest.mark.real
async def test_a_full_disk_loses_nothing_and_is_filled_on_when_there_is_room(
    small_disk: Callable[..., Path], nursery: trio.Nursery
) -> None:
    tiny_disk = small_disk("size=1m")
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(700_000))
    store = await nursery.start(BlobStore(tiny_disk / "blobs").run)
    blobs = [os.urandom(100_000) for _ in range(6)]
    hashes = [store.put_nowait(data, "a/b") for data in blobs]
    with trio.fail_after(30):
        await wait_until(lambda: store.refusal is not None)
        assert "No space left on device" in store.refusal
        assert [store.read(h) for h in hashes] == blobs
        on_disk = [store.path(h).exists() for h in hashes]
        assert on_disk == sorted(on_disk, reverse=True)
        assert 0 < sum(on_disk) < 6
        assert not files(tiny_disk, "blobs/*/.tmp*")
        ballast.unlink()
        await store.flushed()
    assert [store.path(h).read_bytes() for h in hashes] == blobs
    nursery.cancel_scope.cancel()
