"""The file of one room's document: change chunks, appended as they come.

Appending costs what is new; now and then a thread rewrites the file compactly. A tail that a crash
cut is cut off again when loading, and a file that is no document is kept aside. Whatever touches
the disk runs in a thread; the document itself never leaves the Trio thread.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import trio

from runtimed.document.actors import daemon_actor
from runtimed.document.compaction import compacted
from runtimed.document.notebook import NotebookDocument
from runtimed.document.save_schedule import SaveSchedule
from runtimed.document.storage import split_chunks
from runtimed.errors import DocumentTooNew, DocumentUnreadable, RuntimedError
from runtimed.rooms.file_version import SavedState

__all__ = ["DocumentFile", "SaveSchedule"]

log = logging.getLogger(__name__)

#: Appended bytes beyond which the file is rewritten compactly, unless the base is larger still.
_COMPACT_AT = 256 * 1024


class DocumentFile:
    """One document on disk. Not for two rooms at once."""

    def __init__(self, folder: Path, notebook_id: str, limiter: trio.CapacityLimiter) -> None:
        name = hashlib.sha256(notebook_id.encode()).hexdigest()
        self._notebook_id = notebook_id
        self._path = folder / f"{name}.automerge"
        self._state_path = folder / f"{name}.json"
        self._limiter = limiter
        self._saved: NotebookDocument | None = None
        self._saved_heads: list[str] = []
        self._base = 0
        self._size = 0

    @property
    def path(self) -> Path:
        return self._path

    async def load(self, actor: bytes) -> NotebookDocument | None:
        """The document on disk; None when there is none, or none that can be read.

        Raises: DocumentTooNew for a document of a later schema, which is left alone.
        """
        data = await trio.to_thread.run_sync(_read, self._path, limiter=self._limiter)
        if data is None:
            return None
        good, cut = split_chunks(data)
        if cut:
            log.warning("cut tail dropped path=%s bytes=%d", self._path, cut)
        try:
            if not good:
                raise DocumentUnreadable("no complete chunk in it")
            document = NotebookDocument.load(good, actor)
        except DocumentTooNew as error:
            raise DocumentTooNew(f"{error}, or move {self._path} away to begin anew") from error
        except DocumentUnreadable as error:
            log.error("document kept aside path=%s error=%s", self._path, error)
            await self.keep_aside("corrupt")
            return None
        if cut:
            await trio.to_thread.run_sync(os.truncate, self._path, len(good), limiter=self._limiter)
        self._saved, self._saved_heads = document, document.stored_heads
        self._base = self._size = len(good)
        return document

    async def peek(self) -> NotebookDocument | None:
        """The document on disk for reading only; nothing is mended or moved.

        Raises: RuntimedError with the protocol's texts.
        """
        try:
            data = await trio.to_thread.run_sync(_read, self._path, limiter=self._limiter)
        except OSError as error:
            raise RuntimedError(f"Failed to read persisted file: {error}") from error
        if data is None:
            return None
        try:
            return NotebookDocument.load(split_chunks(data)[0], daemon_actor())
        except DocumentUnreadable as error:
            raise RuntimedError(f"Failed to parse Automerge doc: {error}") from error

    async def keep_aside(self, why: str) -> None:
        """Rename the file so that a new one can begin, keeping earlier ones that were put aside."""
        await trio.to_thread.run_sync(_keep_aside, self._path, why, limiter=self._limiter)
        self._saved, self._saved_heads = None, []
        self._base = self._size = 0

    async def remove(self) -> None:
        def remove() -> None:
            self._path.unlink(missing_ok=True)
            self._state_path.unlink(missing_ok=True)

        await trio.to_thread.run_sync(remove, limiter=self._limiter)
        self._saved, self._saved_heads = None, []
        self._base = self._size = 0

    async def save(self, document: NotebookDocument) -> None:
        """Bring the file up to the document as it is now.

        Special cases: another document than the one that was saved or loaded before takes its
        place in one step.
        Raises: OSError; then the same changes are part of the next save.
        """
        heads = document.heads
        if self._saved is not None and document is not self._saved:
            await self._write_anew(document)
        elif heads != self._saved_heads:
            await self._write_changes(document)
        self._saved, self._saved_heads = document, heads
        if self._size - self._base > max(_COMPACT_AT, self._base):
            self._base = self._size = await trio.to_thread.run_sync(
                _compact, self._path, limiter=self._limiter
            )

    async def _write_anew(self, document: NotebookDocument) -> None:
        data = document.changes_since([])
        await trio.to_thread.run_sync(_replace, self._path, data, limiter=self._limiter)
        self._base = self._size = len(data)

    async def _write_changes(self, document: NotebookDocument) -> None:
        data = document.changes_since(self._saved_heads)
        if not await self._append(data):
            log.warning("document file vanished, written anew path=%s", self._path)
            self._base = self._size = 0
            data = document.changes_since([])
            await self._append(data)
        self._size += len(data)

    async def _append(self, data: bytes) -> bool:
        return await trio.to_thread.run_sync(
            _append, self._path, self._size, data, limiter=self._limiter
        )

    async def load_state(self) -> SavedState:
        data = await trio.to_thread.run_sync(_read, self._state_path, limiter=self._limiter)
        return SavedState.from_bytes(self._notebook_id, data or b"")

    def write_state(self, state: SavedState) -> None:
        """Write what is remembered of the .ipynb. Blocking: run it in a thread. Raises: OSError."""
        _replace(self._state_path, state.to_bytes())


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _append(path: Path, size: int, data: bytes) -> bool:
    """Append behind `size` bytes; what a failed append left behind those is cut off first.

    Returns: False if the file has not those bytes any more; nothing is written then.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if os.fstat(descriptor).st_size < size:
            return False
        file.truncate(size)
        file.seek(size)
        file.write(data)
    return True


def _compact(path: Path) -> int:
    """Rewrite a document's file compactly; its new size."""
    data = compacted(path.read_bytes())
    _replace(path, data)
    return len(data)


def _replace(path: Path, data: bytes) -> None:
    """Write beside the target, flush to the disk, rename: a crash leaves the old or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _keep_aside(path: Path, why: str) -> None:
    target = path.with_name(f"{path.name}.{why}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{why}-{number}")
    if path.exists():
        path.rename(target)
