"""The blob store: bytes kept on disk under their SHA-256, readable the moment they are put.

Putting never waits for the disk: one task writes behind, in the order of the puts. Knows nothing of
outputs or of who refers to a blob.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import attrs
import trio

from runtimed.blobs.files import (
    BlobMeta,
    BlobWriter,
    blob_path,
    is_blob_hash,
    read_blob,
    read_meta,
    remove_blob,
    remove_stale_files,
    sync_files,
)
from runtimed.errors import BlobStoreFull, BlobTooLarge

__all__ = ["MAX_BLOB_SIZE", "BlobStore"]

log = logging.getLogger(__name__)

#: Bytes in one blob.
MAX_BLOB_SIZE = 104_857_600

#: Bytes that may wait in memory while the disk refuses them, and while it is merely slow. A healthy
#: disk is allowed much more, since a few large outputs at once are no reason to lose one.
MAX_WAITING_REFUSED = 256 * 2**20
MAX_WAITING = 2**30

# One thread call takes this much: enough to make its cost vanish, little enough that memory is
# given back, and a cancel answered, while a flood is being written.
_BATCH_COUNT = 256
_BATCH_BYTES = 16 * 2**20

_FIRST_RETRY, _LAST_RETRY = 0.25, 5.0
_DRAIN_TIME = 1.5

# fsync follows once nothing was put for this long: it would double the time of every burst, and
# what a power cut can take is bounded by it all the same.
_SYNC_QUIET = 1.0
_SYNC_COUNT = 16
_SYNC_BACKLOG = 4096

_RECENT_BLOB = 65_536
_RECENT_BYTES = 8 * 2**20

_HASH_IN_THREAD = 2**20

_REMOVE_COUNT = 64

_GATHER_TIME = 0.05  # seconds between the first blob of a burst and its writing
_GATHER_BYTES = 2**20  # more than this is written at once


@attrs.frozen
class _Waiting:
    data: bytes
    media_type: str
    position: int  # its number in the order of puts


class BlobStore:
    """Content-addressed bytes below one directory.

    Everything here belongs to the Trio thread. Only while `run` is running does anything reach the
    disk; reading works without it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writer = BlobWriter(root)
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._waiting_bytes = 0
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._recent_bytes = 0
        self._put_count = 0
        self._written_count = 0
        self._readers: Counter[str] = Counter()  # of pieces, by blob
        self._removing: frozenset[str] = frozenset()
        self._removed = trio.Event()
        self._unsynced: deque[str] = deque(maxlen=_SYNC_BACKLOG)
        self._refusal: OSError | None = None
        self._ended = False
        self._work = trio.Event()
        self._hurry = trio.Event()
        self._progress = trio.Event()
        # One thread writes: the order of the puts is the order on disk, so that a manifest is never
        # there before what it refers to; and a disk that hangs takes one thread, not Trio's pool.
        self._write_limiter = trio.CapacityLimiter(1)
        # Readers mostly find the page cache; four keep a slow disk busy.
        self._read_limiter = trio.CapacityLimiter(4)

    def __repr__(self) -> str:
        return f"<BlobStore {self.root}: {len(self._waiting)} waiting, {self._waiting_bytes} bytes>"

    @property
    def pending_bytes(self) -> int:
        """Bytes that are not on disk yet."""
        return self._waiting_bytes

    @property
    def put_count(self) -> int:
        """How many blobs have been put in this store's life."""
        return self._put_count

    @property
    def refusal(self) -> str | None:
        """Why the disk takes no blobs at present; None while it does."""
        return None if self._refusal is None else str(self._refusal)

    def put_nowait(self, data: bytes, media_type: str, hash: str | None = None) -> str:  # noqa: A002
        """Keep these bytes. Returns their hash, under which they can be read at once.

        `hash` is their SHA-256 where the caller has it already; it is believed.
        Raises: BlobTooLarge; BlobStoreFull when the disk refuses and too much waits in memory.
        """
        size = len(data)
        if size > MAX_BLOB_SIZE:
            raise BlobTooLarge(f"blob too large: {size} bytes (max {MAX_BLOB_SIZE})")
        if hash is None:
            hash = hashlib.sha256(data).hexdigest()  # noqa: A001
        if hash in self._waiting:
            return hash
        waiting_bytes = self._waiting_bytes + size
        if waiting_bytes > MAX_WAITING_REFUSED:
            self._check_room(waiting_bytes)
        # A blob that is on disk already is queued as well: the writer finds out, in its thread.
        self._put_count += 1
        self._waiting[hash] = _Waiting(data, media_type, self._put_count)
        self._waiting_bytes = waiting_bytes
        self._work.set()
        if waiting_bytes > _GATHER_BYTES:
            self._hurry.set()
        return hash

    def _check_room(self, waiting_bytes: int) -> None:
        if self._refusal is not None:
            raise BlobStoreFull(
                f"blob store is full: {self._waiting_bytes} bytes wait in memory, "
                f"the disk refuses them: {self._refusal}"
            )
        if waiting_bytes > MAX_WAITING:
            raise BlobStoreFull(
                f"blob store is full: {self._waiting_bytes} bytes wait in memory for a slow disk"
            )

    async def put(self, data: bytes, media_type: str, hash: str | None = None) -> str:  # noqa: A002
        """Like put_nowait, but the blob is on disk when this returns.

        Raises: BlobStoreFull also when the disk refuses this blob. It stays readable, and the
        writer goes on trying.
        """
        if hash is None and len(data) > _HASH_IN_THREAD:
            hash = await trio.to_thread.run_sync(_sha256, data)  # noqa: A001
        blob_hash = self.put_nowait(data, media_type, hash)
        await self._wait_written(self._waiting[blob_hash].position, give_up=True)
        return blob_hash

    async def flushed(self) -> None:
        """Wait until everything put before now is on disk, however long the disk refuses it.

        Raises: BlobStoreFull if the writer ended without it.
        """
        await self._wait_written(self._put_count, give_up=False)

    async def _wait_written(self, position: int, *, give_up: bool) -> None:
        await trio.lowlevel.checkpoint()
        self._hurry.set()
        while self._written_count < position:
            if self._ended:
                raise BlobStoreFull(f"blob store has ended: {self._refusal or 'not running'}")
            await self._progress.wait()
            if give_up and self._refusal is not None and self._written_count < position:
                raise BlobStoreFull(f"blob can't be written: {self._refusal}")

    def in_memory(self, blob_hash: str) -> tuple[bytes, str] | None:
        """Bytes and media type of a blob that isn't on disk yet."""
        waiting = self._waiting.get(blob_hash)
        return None if waiting is None else (waiting.data, waiting.media_type)

    def read(self, blob_hash: str) -> bytes | None:
        """The bytes of a blob; None if there is none.

        Reads the disk on this thread when the blob isn't in memory: for small ones (manifests).
        Raises: OSError if the disk can't be read.
        """
        data = self._recall(blob_hash)
        if data is None and is_blob_hash(blob_hash):
            data = read_blob(self.root, blob_hash)
            if data is not None:
                self._remember(blob_hash, data)
        return data

    async def load(self, blob_hash: str) -> bytes | None:
        """Like read, but the disk is read in a thread: for blobs of any size."""
        await trio.lowlevel.checkpoint()
        data = self._recall(blob_hash)
        if data is None and is_blob_hash(blob_hash):
            data = await trio.to_thread.run_sync(
                read_blob,
                self.root,
                blob_hash,
                limiter=self._read_limiter,
                abandon_on_cancel=True,
            )
            if data is not None:
                self._remember(blob_hash, data)
        return data

    def reader(self) -> Callable[[str], bytes | None]:
        """Like read, for use in another thread: what waits at this moment, and the disk."""
        waiting = {blob_hash: entry.data for blob_hash, entry in self._waiting.items()}

        def read(blob_hash: str) -> bytes | None:
            data = waiting.get(blob_hash)
            if data is None and is_blob_hash(blob_hash):
                data = read_blob(self.root, blob_hash)
            return data

        return read

    def meta(self, blob_hash: str) -> BlobMeta | None:
        """What is known of a blob; None if there is none. May read the disk, like read."""
        waiting = self._waiting.get(blob_hash)
        if waiting is not None:
            return BlobMeta.now(waiting.media_type, len(waiting.data))
        return read_meta(self.root, blob_hash) if is_blob_hash(blob_hash) else None

    def path(self, blob_hash: str) -> Path:
        """Where a blob lies, or will.

        Raises: ValueError if this isn't 64 lower-case hex digits.
        """
        return blob_path(self.root, blob_hash)

    def _recall(self, blob_hash: str) -> bytes | None:
        waiting = self._waiting.get(blob_hash)
        if waiting is not None:
            return waiting.data
        data = self._recent.get(blob_hash)
        if data is not None:
            self._recent.move_to_end(blob_hash)
        return data

    def _remember(self, blob_hash: str, data: bytes) -> None:
        if len(data) > _RECENT_BLOB or blob_hash in self._recent:
            return
        self._recent[blob_hash] = data
        self._recent_bytes += len(data)
        while self._recent_bytes > _RECENT_BYTES:
            _, oldest = self._recent.popitem(last=False)
            self._recent_bytes -= len(oldest)

    @asynccontextmanager
    async def reading(self, blob_hash: str) -> AsyncIterator[None]:
        """Keep a blob from being removed while it is read in pieces.

        If it is just being removed that is waited for, so that it is there whole or not at all.
        """
        self._readers[blob_hash] += 1
        try:
            while blob_hash in self._removing:
                await self._removed.wait()
            yield
        finally:
            self._readers[blob_hash] -= 1
            if not self._readers[blob_hash]:
                del self._readers[blob_hash]

    async def remove(self, blob_hashes: Sequence[str], put_before: float) -> tuple[int, int]:
        """Remove blobs from the disk; how many, and their bytes.

        Passed over is what was put since `put_before` (seconds since 1970), what waits to be
        written and what is being read. Takes turns with the writer, a few blobs at a time.
        """
        count = size = 0
        for start in range(0, len(blob_hashes), _REMOVE_COUNT):
            batch = [
                blob_hash
                for blob_hash in blob_hashes[start : start + _REMOVE_COUNT]
                if blob_hash not in self._waiting and blob_hash not in self._readers
            ]
            self._removing = frozenset(batch)
            try:
                # Not abandoned on cancel: the writer must not find the thread in its way.
                sizes = await trio.to_thread.run_sync(
                    self._remove_all, batch, put_before, limiter=self._write_limiter
                )
            finally:
                self._removing = frozenset()
                self._removed.set()
                self._removed = trio.Event()
            for blob_hash in batch:
                if (data := self._recent.pop(blob_hash, None)) is not None:
                    self._recent_bytes -= len(data)
            count += len(sizes)
            size += sum(sizes)
        return count, size

    def _remove_all(self, batch: Sequence[str], put_before: float) -> list[int]:
        """In a thread: remove what may be; the sizes of what was."""
        sizes = []
        for blob_hash in batch:
            try:
                size = remove_blob(self.root, blob_hash, put_before)
            except OSError as error:
                log.warning("blob not removed hash=%s error=%s", blob_hash, error)
            else:
                if size is not None:
                    sizes.append(size)
        return sizes

    async def run(
        self, *, task_status: trio.TaskStatus[BlobStore] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Write what was put. Started at once, with the store itself; runs until cancelled.

        Cancelled, it first writes what waits, for one and a half seconds at most. A refusing disk
        is tried again with growing pauses, and said to refuse once.
        """
        self._ended = False
        task_status.started(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._remove_stale_files)
                await self._write_forever()
        finally:
            with trio.move_on_after(_DRAIN_TIME, shield=True):
                while self._waiting and await self._write_batch():
                    pass
            self._ended = True
            self._announce_progress()
            if self._waiting:
                log.error(
                    "blobs lost count=%d bytes=%d error=%s",
                    len(self._waiting),
                    self._waiting_bytes,
                    self._refusal or "too slow",
                )

    async def _write_forever(self) -> None:
        pause = _FIRST_RETRY
        while True:
            if not self._waiting:
                self._work = trio.Event()
                self._hurry = trio.Event()
                with trio.move_on_after(_SYNC_QUIET if self._unsynced else math.inf) as quiet:
                    await self._work.wait()
                if quiet.cancelled_caught:
                    await self._sync()
                else:
                    # Outputs come in bursts. A thread that writes each one as it comes would take
                    # the interpreter from whoever waits for the result.
                    with trio.move_on_after(_GATHER_TIME):
                        await self._hurry.wait()
            elif await self._write_batch():
                pause = _FIRST_RETRY
            else:
                await trio.sleep(pause)
                pause = min(2 * pause, _LAST_RETRY)

    async def _write_batch(self) -> bool:
        """Write the first of what waits. Returns whether the disk took all of it."""
        batch: list[tuple[str, _Waiting]] = []
        size = 0
        for item in islice(self._waiting.items(), _BATCH_COUNT):
            size += len(item[1].data)
            if batch and size > _BATCH_BYTES:
                break
            batch.append(item)
        # Abandoned on cancel, for a disk may hang. Each file is complete or not there, and the
        # drain that follows waits for the limiter, then finds what the thread has written.
        paths, error = await trio.to_thread.run_sync(
            self._write_all, batch, limiter=self._write_limiter, abandon_on_cancel=True
        )
        for blob_hash, blob in batch[: len(paths)]:
            del self._waiting[blob_hash]
            self._waiting_bytes -= len(blob.data)
            self._written_count = blob.position
            self._remember(blob_hash, blob.data)
        self._unsynced.extend(path for path in paths if path is not None)
        self._note_refusal(error)
        self._announce_progress()
        return error is None

    def _write_all(
        self, batch: list[tuple[str, _Waiting]]
    ) -> tuple[list[str | None], OSError | None]:
        """In a thread: write in order, up to the first that is refused."""
        paths: list[str | None] = []
        for blob_hash, blob in batch:
            try:
                paths.append(self._writer.write(blob_hash, blob.data, blob.media_type))
            except OSError as error:
                return paths, error
        return paths, None

    def _note_refusal(self, error: OSError | None) -> None:
        if error is not None and self._refusal is None:
            log.error("disk refuses blobs error=%s waiting_bytes=%d", error, self._waiting_bytes)
        elif error is None and self._refusal is not None:
            log.info("disk takes blobs again waiting_bytes=%d", self._waiting_bytes)
        self._refusal = error

    def _announce_progress(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def _sync(self) -> None:
        while self._unsynced and not self._waiting:
            paths = [self._unsynced.popleft() for _ in range(min(_SYNC_COUNT, len(self._unsynced)))]
            await trio.to_thread.run_sync(
                sync_files, paths, limiter=self._write_limiter, abandon_on_cancel=True
            )

    async def _remove_stale_files(self) -> None:
        removed = await trio.to_thread.run_sync(
            remove_stale_files,
            self.root,
            time.time(),
            limiter=self._read_limiter,
            abandon_on_cancel=True,
        )
        if removed:
            log.info("stale blob files removed count=%d", removed)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
