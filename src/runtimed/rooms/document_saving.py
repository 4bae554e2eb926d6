"""When a room's document goes to disk: soon after a change, seldom while there are many, and at the
end whatever comes."""

from __future__ import annotations

import logging
import math
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio

from runtimed.blobs.store import BlobStore
from runtimed.document.notebook import NotebookDocument
from runtimed.rooms.document_file import DocumentFile, SaveSchedule

__all__ = ["DocumentSaving"]

log = logging.getLogger(__name__)

#: Seconds without a change after which the document is written, and the longest it may wait.
_QUIET = 0.1
_LONGEST = 0.4

#: Seconds between two attempts to write while the disk refuses.
_RETRY = 2.0

#: Seconds for the last save: of the blobs, and of the document, which may be all that there is of a
#: notebook.
_LAST_OF_BLOBS = 1.0
_LAST_OF_DOCUMENT = 2.0


class _Trust(Protocol):
    def recorded(self) -> AbstractAsyncContextManager[object]: ...


class _SharedFile(Protocol):
    async def settle_state(self) -> None: ...


class SavedRoom(Protocol):
    """What of a room is asked for."""

    document: NotebookDocument

    @property
    def trust(self) -> _Trust: ...

    @property
    def file(self) -> _SharedFile: ...


class DocumentSaving:
    """Writes a room's document into `file`, after the blobs that it names."""

    def __init__(self, room: SavedRoom, file: DocumentFile, blobs: BlobStore) -> None:
        self._room = room
        self._file = file
        self._blobs = blobs
        self._schedule = SaveSchedule(_QUIET, _LONGEST)
        self._wanted = trio.Event()

    @property
    def _due(self) -> float:
        return self._schedule.due()

    def changed(self) -> None:
        """The document is not what is on disk."""
        if self._due == math.inf:
            self._wanted.set()
        self._schedule.changed(trio.current_time())

    async def run(self) -> None:
        """Write the document when changes are due. Runs until cancelled."""
        while True:
            self._wanted = trio.Event()
            if self._due == math.inf:
                await self._wanted.wait()
            elif self._due > trio.current_time():
                await trio.sleep_until(self._due)
            else:
                await self._blobs_on_disk()  # a document on disk must not name what is not
                if not await self._save():
                    await trio.sleep(_RETRY)

    async def finish(self) -> None:
        """Write what is new a last time. Shielded and bounded."""
        # Blobs first, but a disk that refuses those must not cost the document.
        with trio.move_on_after(_LAST_OF_BLOBS, shield=True):
            await self._blobs_on_disk()
        with trio.move_on_after(_LAST_OF_DOCUMENT, shield=True):
            await self._save()

    async def _blobs_on_disk(self) -> None:
        if self._due != math.inf:
            await self._blobs.flushed()

    async def _save(self) -> bool:
        if self._due == math.inf:
            return True
        try:
            self._schedule.saved()
            await self._room.file.settle_state()
            async with self._room.trust.recorded():
                await self._file.save(self._room.document)
        except OSError as error:
            log.error("document not saved error=%s", error)
            self._schedule.changed(trio.current_time())
            return False
        except BaseException:  # cancelled before a thread was free: the last save brings it
            self._schedule.changed(trio.current_time())
            raise
        return True
