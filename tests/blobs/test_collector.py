"""The collector with its process, and the store that it removes from."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from runtimed.blobs.collector import BlobCollector
from runtimed.blobs.files import blob_path
from runtimed.blobs.store import BlobStore
from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.outputs.manifest import MANIFEST_MEDIA_TYPE, Manifest, build_manifest

FUTURE = 1e12


def output(text: str) -> Manifest:
    return build_manifest({"output_type": "stream", "name": "stdout", "text": text.ljust(9000)})


async def put(store: BlobStore, manifest: Manifest) -> set[str]:
    for blob in manifest.blobs:
        store.put_nowait(blob.data, blob.media_type, blob.hash)
    store.put_nowait(manifest.json, MANIFEST_MEDIA_TYPE, manifest.hash)
    await store.flushed()
    return {manifest.hash, *(blob.hash for blob in manifest.blobs)}


def there(store: BlobStore) -> set[str]:
    return {
        path.parent.name + path.name for path in store.root.glob("??/*") if path.suffix != ".meta"
    }


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BlobStore]:
    async with trio.open_nursery() as nursery:
        yield await nursery.start(BlobStore(tmp_path / "blobs").run)
        nursery.cancel_scope.cancel()


class Notebooks:
    """What is open, and says so."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.asked = 0
        self.later: set[str] = set()

    async def __call__(self) -> set[str]:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        return self.names | (self.later if self.asked > 1 else set())


@pytest.mark.real
async def test_a_collection_removes_what_neither_files_nor_open_notebooks_name(
    store: BlobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    documents = tmp_path / "documents"
    documents.mkdir()
    saved = await put(store, output("saved"))
    opened = await put(store, output("opened"))
    copied = await put(store, output("copied while the look was under way"))
    garbage = await put(store, output("garbage"))
    document = NotebookDocument.create("n", daemon_actor())
    document.load_cells([NewCell("c", outputs=(output("saved").hash,))])
    (documents / "n.automerge").write_bytes(document.save())
    live = Notebooks()
    live.names = {output("opened").hash}
    collector = BlobCollector(store, documents, tmp_path / "marks.json", live, grace=0.0)
    live.later = {output("copied while the look was under way").hash}
    with trio.fail_after(60):
        await collector.collect()
    assert there(store) == saved | opened | copied
    assert store.read(output("garbage").hash) is None
    assert "removed=2 bytes=" in caplog.text
    assert "documents=1 read=1" in caplog.text
    assert garbage.isdisjoint(there(store))
    live.names, live.later = set(), set()
    (documents / "n.automerge").write_bytes(b"damaged")
    with trio.fail_after(60):
        await collector.collect()
    assert there(store) == saved | opened | copied
    assert "a document can't be read" in caplog.text


@pytest.mark.real
async def test_a_look_that_fails_removes_nothing_and_is_said(
    store: BlobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = await put(store, output("x"))
    marks = tmp_path / "marks.json"
    marks.mkdir()  # so that it can't be replaced
    collector = BlobCollector(store, tmp_path / "documents", marks, Notebooks(), grace=0.0)
    with trio.fail_after(60):
        await collector.collect()
    assert there(store) == names
    assert "no blobs collected, looking failed: " in caplog.text


@pytest.mark.real
async def test_a_manifest_that_can_not_be_read_removes_nothing(
    store: BlobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = await put(store, output("x"))

    async def refuse(blob_hash: str) -> bytes:
        raise OSError(5, "Input/output error")

    live = Notebooks()
    live.later = {output("x").hash}
    collector = BlobCollector(store, tmp_path / "none", tmp_path / "marks", live, grace=0.0)
    store.load = refuse  # type: ignore[method-assign]
    with trio.fail_after(60):
        await collector.collect()
    assert there(store) == names
    assert "no blobs collected, one can't be read: " in caplog.text


async def test_what_was_put_since_waits_or_is_being_read_is_not_removed(store: BlobStore) -> None:
    hashes = {}
    for what in ("old", "young", "read", "again"):
        hashes[what] = await store.put(what.encode(), "text/plain")
    for what in ("old", "read", "again"):
        os.utime(store.path(hashes[what]), (1, 1))
    async with store.reading(hashes["read"]):
        store.put_nowait(b"again", "text/plain")
        assert await store.remove(list(hashes.values()), put_before=1000.0) == (1, 3)
    await store.flushed()
    assert there(store) == {hashes["young"], hashes["read"], hashes["again"]}
    assert store.read(hashes["old"]) is None
    assert not blob_path(store.root, hashes["old"]).with_suffix(".meta").exists()
    assert store.path(hashes["again"]).stat().st_mtime > 1000
    assert await store.remove([hashes["read"]], put_before=1000.0) == (1, 4)


async def test_puts_during_a_removal_are_never_lost(store: BlobStore) -> None:
    """Whatever is put while others are removed, even the same blobs, is there afterwards."""
    data = [b"blob %d" % number for number in range(500)]
    hashes = [hashlib.sha256(item).hexdigest() for item in data]
    for item in data:
        store.put_nowait(item, "text/plain")
    await store.flushed()
    for blob_hash in hashes:
        os.utime(store.path(blob_hash), (1, 1))
    again: set[str] = set()

    async def put_some_again() -> None:
        for number in range(0, 500, 7):
            again.add(store.put_nowait(data[number], "text/plain"))
            await trio.sleep(0.0005)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_some_again)
        await store.remove(hashes, put_before=1000.0)
    await store.flushed()
    assert again <= there(store)
    assert all(store.read(blob_hash) is not None for blob_hash in again)


async def test_a_reader_that_comes_during_a_removal_finds_all_or_nothing(store: BlobStore) -> None:
    blob_hash = await store.put(b"x", "text/plain")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.remove, [blob_hash], FUTURE)
        await trio.lowlevel.checkpoint()
        async with store.reading(blob_hash):
            found = store.path(blob_hash).exists()
            await trio.sleep(0.05)
            assert store.path(blob_hash).exists() == found
