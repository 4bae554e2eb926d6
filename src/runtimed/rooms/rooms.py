"""The table of rooms: found or created once per id, each a task in one nursery.

Looking up never waits for a room's work; creating waits for that id alone. What a room is made of
(documents, outputs, messages) is imported with the first one: the daemon answers sooner.
"""

from __future__ import annotations

import logging
import os
import stat
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from runtimed.blobs.store import BlobStore
from runtimed.errors import NotebookUnreadable, RuntimedError, leaves
from runtimed.kernels.kernels import Kernels
from runtimed.protocol import pool
from runtimed.rooms.config import RoomConfig
from runtimed.rooms.context import current_room
from runtimed.rooms.file_watch import FileWatch

if TYPE_CHECKING:
    from runtimed.document.notebook import NotebookDocument
    from runtimed.rooms.notebook_file import LoadedNotebook
    from runtimed.rooms.peer import Peer
    from runtimed.rooms.room import Room

__all__ = ["Rooms"]

log = logging.getLogger(__name__)

#: Threads for files of all rooms together. Few, so that a slow disk delays files and nothing else.
_DISK_THREADS = 4

#: Objects of a document looked at before other tasks get their turn: about a millisecond's work.
_MENTIONS_AT_ONCE = 50


class Rooms:
    """All open notebooks."""

    def __init__(self, config: RoomConfig, blobs: BlobStore, kernels: Kernels) -> None:
        self._config = config
        self._blobs = blobs
        self._kernels = kernels
        self._disk = trio.CapacityLimiter(_DISK_THREADS)
        self._watch = FileWatch(self._disk)
        self._rooms: dict[str, Room] = {}
        self._locks: dict[str, trio.Lock] = {}

    async def run(self, *, task_status: trio.TaskStatus[Rooms] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the rooms. Runs until cancelled; then every room saves and stops its kernel."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._watch.run)
            task_status.started(self)
            await trio.sleep_forever()

    # ------------------------------------------------------------------ looking

    def list_rooms(self) -> list[pool.RoomInfo]:
        """What is open. Never waits for anything."""
        return [room.info() for room in self._rooms.values()]

    def find(self, notebook_id: str) -> Room | None:
        """An open room by its id, or by any spelling of its path."""
        room = self._rooms.get(notebook_id)
        if room is None and "/" in notebook_id:
            room = self._rooms.get(os.path.realpath(notebook_id))
        return room

    async def read_saved(self, notebook_id: str) -> tuple[NotebookDocument | None, Path]:
        """The saved document of a notebook that is not open, and where it would lie."""
        from runtimed.rooms.document_file import DocumentFile

        file = DocumentFile(self._config.documents, notebook_id, self._disk)
        return await file.peek(), file.path

    async def mentioned_blobs(self) -> set[str]:
        """The names of blobs that open notebooks mention. Others get their turn in between."""
        found: set[str] = set()
        for room in list(self._rooms.values()):
            for number, names in enumerate(room.document.mentions()):
                found |= names
                if number % _MENTIONS_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
        return found

    # ------------------------------------------------------------------ joining

    async def join(self, notebook_id: str, working_dir: Path | None = None) -> tuple[Room, Peer]:
        """Join a room by its id. The id of an existing notebook file is that file's room.

        Raises: NotebookUnreadable.
        """
        path = Path(notebook_id)
        if path.is_absolute() and path.suffix == ".ipynb":
            room, peer, _ = await self.open_notebook(path)
            return room, peer
        return await self._join(notebook_id, None, working_dir)

    async def open_notebook(
        self, path: Path, *, autosave: bool = True, runtime: str | None = None
    ) -> tuple[Room, Peer, int]:
        """Join the room of a notebook file; also the number of cells at this moment.

        A missing file is a new notebook, for the user's default runtime if none is named: nothing
        is written before somebody edits it. Unless anybody who comes wants `autosave`, nothing is
        written unasked.
        Raises: NotebookUnreadable.
        """
        exists = await self._exists(path)
        if not exists and path.suffix != ".ipynb":
            path = path.with_name(path.name + ".ipynb")
            exists = await self._exists(path)
        try:
            # Of a missing file, too: its folder may be a link, and the id stays once it exists.
            resolve = partial(os.path.realpath, str(path))
            real: str = await trio.to_thread.run_sync(resolve, limiter=self._disk)
        except OSError as error:
            raise NotebookUnreadable(f"Cannot resolve notebook path '{path}': {error}") from error
        room, peer = await self._join(real, Path(real), None)
        if autosave:
            room.file.want_autosave()
        if not len(room.document) and not room.loading and not exists:
            room.fill(runtime)
        return room, peer, 0 if room.loading else len(room.document)

    async def create_notebook(
        self, runtime: str, notebook_id: str | None, working_dir: Path | None
    ) -> tuple[Room, Peer]:
        """A new untitled notebook, or the saved one of that id."""
        room, peer = await self._join(notebook_id or str(uuid.uuid4()), None, working_dir)
        if not len(room.document):
            room.fill(runtime)
        return room, peer

    async def _exists(self, path: Path) -> bool:
        try:
            status = await trio.to_thread.run_sync(path.stat, limiter=self._disk)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise NotebookUnreadable(
                f"Cannot access notebook '{path}': {error.strerror or error}"
            ) from error
        except ValueError as error:  # a null byte in it
            raise NotebookUnreadable(f"Cannot access notebook {str(path)!r}: {error}") from error
        if not stat.S_ISREG(status.st_mode):
            kind = "it is a directory" if stat.S_ISDIR(status.st_mode) else "it is no regular file"
            raise NotebookUnreadable(f"Cannot access notebook '{path}': {kind}")
        return True

    async def _join(
        self, notebook_id: str, path: Path | None, working_dir: Path | None
    ) -> tuple[Room, Peer]:
        current_room.set(notebook_id)
        async with self._lock(notebook_id):
            while (room := self._rooms.get(notebook_id)) is not None and room.ending:
                await room.wait_ended()
            if room is not None:
                peer = room.join()
            else:
                room, peer = await self._create(notebook_id, path)
            if working_dir is not None:
                room.working_dir = working_dir
            return room, peer

    def _lock(self, notebook_id: str) -> trio.Lock:
        """The lock of one id; creating a room of one id never holds up another."""
        for known in [key for key, lock in self._locks.items() if not _in_use(lock)]:
            if known != notebook_id:
                del self._locks[known]
        return self._locks.setdefault(notebook_id, trio.Lock())

    async def _create(self, notebook_id: str, path: Path | None) -> tuple[Room, Peer]:
        """A new room, with its first peer in it: an empty one might end again at once."""
        from runtimed.rooms.room import Room

        room = Room(
            notebook_id,
            path,
            config=self._config,
            blobs=self._blobs,
            kernels=self._kernels,
            disk=self._disk,
            watch=self._watch,
        )
        exists = path is not None and await self._exists(path)
        try:
            loaded = await room.file.restore(exists)
        except OSError as error:
            raise RuntimedError(f"The document of {notebook_id} can't be read: {error}") from error
        peer = room.join()
        try:
            await self._nursery.start(self._run_room, room, loaded)
        except BaseException:
            room.leave(peer)  # a start that was cancelled at its last step leaves a room behind
            raise
        return room, peer

    async def _run_room(
        self,
        room: Room,
        loaded: LoadedNotebook | None,
        *,
        task_status: trio.TaskStatus[Room] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run one room; an error in it ends this room alone."""
        self._rooms[room.notebook_id] = room
        log.info("room opened")
        try:
            await room.run(loaded, task_status=task_status)
        except Exception as error:
            log.error(
                "room failed reason=%s",
                "; ".join(repr(leaf) for leaf in leaves(error)),
                exc_info=error,
            )
        finally:
            del self._rooms[room.notebook_id]
            log.info("room closed")

    async def shutdown_notebook(self, notebook_id: str) -> bool:
        """Close a room whoever is in it, and wait for its end; False if it is not open."""
        room = self.find(notebook_id)
        if room is None:
            return False
        room.close()
        await room.wait_ended()
        return True

    def interrupt_notebook(self, notebook_id: str) -> pool.NotebookInterrupted:
        """Interrupt what a room runs and drop what waits there, whoever is in it."""
        room = self.find(notebook_id)
        if room is None or not room.has_kernel:
            return pool.NotebookInterrupted(room is not None, False, False, 0)
        queue = room.runner.queue
        running, waiting = queue.executing is not None, len(queue.queued)
        room.runner.interrupt()
        return pool.NotebookInterrupted(True, True, running, waiting)


def _in_use(lock: trio.Lock) -> bool:
    statistics = lock.statistics()
    return statistics.locked or statistics.tasks_waiting > 0
