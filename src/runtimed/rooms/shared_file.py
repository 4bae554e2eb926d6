"""The .ipynb of a room, beside whoever else writes it: saved, watched, merged.

The file is known as versions. What another program wrote becomes a change of the document against
the version it was made from; what the document has is written when it has rested, and never over
something that has not been merged. Knows no peers and no kernel but through its room.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import attrs
import trio

from runtimed.blobs.store import BlobStore
from runtimed.document.actors import daemon_actor
from runtimed.document.history import HistoryBounds
from runtimed.document.notebook import NotebookDocument, Touched
from runtimed.document.three_way import CellState, NotebookState, merge_into
from runtimed.errors import NotebookUnreadable, RuntimedError, SaveRefused
from runtimed.outputs.manifest import MANIFEST_MEDIA_TYPE
from runtimed.protocol.structures import CommSnapshot
from runtimed.rooms.document_file import DocumentFile, SaveSchedule
from runtimed.rooms.epochs import begun_anew
from runtimed.rooms.file_version import FileVersion, SavedState
from runtimed.rooms.file_watch import FileWatch
from runtimed.rooms.notebook_file import (
    LoadedNotebook,
    read_digest,
    read_if_other,
    read_notebook,
)
from runtimed.rooms.notebook_saving import (
    ChangedUnderneath,
    Written,
    is_same_file,
    notebook_target,
    read_base,
    write_notebook,
)
from runtimed.rooms.trust import RoomTrust

__all__ = ["SharedFile"]

log = logging.getLogger(__name__)

#: Seconds without a change after which the .ipynb is written, and the longest it may wait.
_QUIET = 2.0
_LONGEST = 30.0

#: Seconds between two attempts to write while the disk refuses.
_RETRY = 5.0

#: Versions of the file that are remembered, and the seconds after which another program that writes
#: is taken to have seen the newest: what reads, changes and writes a file takes no longer, and an
#: editor says when the file below it has changed.
_VERSIONS = 8
_STALE = 10.0

#: How often a file that changes while it is written is merged before a save gives up.
_ATTEMPTS = 5

#: Cells read from the document, or put into it with these many characters, before other tasks get
#: their turn.
_CELLS = 50
_CHARACTERS = 10_000


class FileRoom(Protocol):
    """What a file needs of its room."""

    document: NotebookDocument
    trust: RoomTrust

    def document_changed(self) -> None: ...

    def file_merged(self, touched: Touched) -> None: ...

    def busy_cells(self) -> Collection[str]: ...

    def publish(self) -> None: ...

    def widgets(self) -> Sequence[CommSnapshot]: ...


class SharedFile:
    """The notebook file of one room. Without a path it only saves elsewhere."""

    def __init__(
        self,
        room: FileRoom,
        notebook_id: str,
        path: Path | None,
        *,
        documents: DocumentFile,
        blobs: BlobStore,
        disk: trio.CapacityLimiter,
        history: HistoryBounds,
        watch: FileWatch,
        autosave: Callable[[], bool],
    ) -> None:
        self._room = room
        self._notebook_id = notebook_id
        self._path = path
        self._documents = documents
        self._blobs = blobs
        self._disk = disk
        self._history = history
        self._watch = watch
        self._autosave = autosave
        self._versions: list[FileVersion] = []
        self._since: list[float] = []  # when each of them became the newest
        self._saved_heads: list[str] = []
        self._changes = 0
        self._schedule = SaveSchedule(_QUIET, _LONGEST)
        self._wanted = trio.Event()
        self._lock = trio.Lock()
        self._autosave_wanted = False
        self._state_is_news = False
        self._complaint: str | None = None

    # ------------------------------------------------------------------ questions and news

    @property
    def unsaved(self) -> bool:
        """Whether the document has what the file has not."""
        return self._path is not None and self._room.document.heads != self._saved_heads

    @property
    def busy(self) -> bool:
        """Whether the file is being written or taken in, for a version of the document."""
        return self._lock.locked()

    def changed(self) -> None:
        """The document has changed. Called for every change, so this does next to nothing."""
        self._changes += 1
        if self._path is not None:
            self._save_soon()

    def _save_soon(self) -> None:
        if self._schedule.due() == math.inf:
            self._wanted.set()
        self._schedule.changed(trio.current_time())

    def want_autosave(self) -> None:
        """Somebody is here who wants the file written as it changes, if the setting allows it."""
        if not self._autosave_wanted:
            self._autosave_wanted = True
            if self.unsaved:
                self._save_soon()

    def is_new(self) -> None:
        """What the document has now is what everybody's new notebook has: no reason to write it."""
        document = self._room.document
        self._saved_heads = document.heads
        if self._path is not None:
            self._remember(FileVersion(None, tuple(document.heads), NotebookState.of(document)))
            self._state_is_news = True
            self._wanted.set()

    @contextmanager
    def beside_content(self) -> Iterator[None]:
        """Change in the document what no file holds: one that was saved still is."""
        saved = bool(self._versions) and not self.unsaved
        yield
        if saved:
            self._saved_heads = self._room.document.heads
            self._versions[0] = attrs.evolve(self._versions[0], heads=tuple(self._saved_heads))
            self._state_is_news = True
            self._wanted.set()

    # ------------------------------------------------------------------ opening

    async def restore(self, exists: bool) -> LoadedNotebook | None:
        """Give the room its saved document, before it starts.

        What the file and the document have both changed since they were last the same is merged.
        Returns: the file, if the document is to be filled from it with `load`.
        Raises: NotebookUnreadable, DocumentUnreadable, OSError.
        """
        document = await self._documents.load(daemon_actor())
        if document is None:
            return await self._read_unknown() if exists else None
        if self._path is None:
            await self._adopt(document)
            await self._room.trust.document_restored()
            return None
        state = await self._documents.load_state()
        digest = None
        if exists:
            digest = await trio.to_thread.run_sync(read_digest, self._path, limiter=self._disk)
        # A version whose merge did not reach the disk is none that the document was changed from.
        versions = [v for v in state.seen(digest).versions if document.has_heads(v.heads)]
        self._saved_heads = sorted(versions[0].heads) if versions and versions[0].exact else []
        untouched = document.heads == self._saved_heads
        if not exists and untouched and versions[0].digest is not None:
            await self._documents.remove()  # the file was deleted, and nothing here says otherwise
            return None
        if exists and not versions:
            # The file was not in it completely, or came from elsewhere: nothing to compare with.
            log.warning("document kept aside: no known version of the file path=%s", self._path)
            await self._documents.keep_aside("unsaved")
            return await self._read_unknown()
        self._room.document = document
        await self._room.trust.document_restored()
        self._versions = versions
        if exists and versions[0].digest != digest:
            self._merge(await self._read(versions[:1]))
            await self._save_state()
        await self._adopt(document)
        if self.unsaved:
            self._save_soon()
        return None

    async def _adopt(self, document: NotebookDocument) -> None:
        """Make a saved document the room's, without its past if that is too long."""
        room = self._room
        room.document = await begun_anew(document, self._history)
        if room.document is not document:
            self.begun_anew(document)
            room.document_changed()

    def begun_anew(self, old: NotebookDocument) -> None:
        """The room's document has become another one, with the content of the old one."""
        saved = old.heads == self._saved_heads
        self._saved_heads = self._room.document.heads if saved else []
        if self._versions:
            # The one before it stays: a crash may leave the document with its past on disk.
            heads = tuple(self._room.document.heads)
            self._remember(attrs.evolve(self._versions[0], heads=heads, exact=saved))
            self._state_is_news = True
            self._wanted.set()

    async def settle_state(self) -> None:
        """Have on disk what is remembered of the file, before a document that it speaks of."""
        if self._state_is_news:
            async with self._lock:
                await self._save_state()

    async def load(self, loaded: LoadedNotebook) -> None:
        """Put a file's cells into the document, a batch at a time."""
        document = self._room.document
        self._store(loaded)
        before = self._changes
        steps = 0
        for batch in _batches(loaded.version.state.cells):
            document.load_cells(cell.new_cell() for cell in batch)
            steps += 1
            self._room.document_changed()
            await trio.lowlevel.checkpoint()
        assert loaded.version.state.snapshot is not None
        document.set_metadata_snapshot(loaded.version.state.snapshot)
        self._room.document_changed()
        state = attrs.evolve(loaded.version.state, raw_metadata=document.raw_metadata_strings())
        exact = self._changes == before + steps + 1  # nobody edited it meanwhile
        heads = tuple(document.heads)
        self._remember(attrs.evolve(loaded.version, heads=heads, state=state, exact=exact))
        if exact:
            self._saved_heads = document.heads
        await self._save_state()

    async def _read_unknown(self) -> LoadedNotebook:
        """The file, to fill the document from."""
        loaded = await self._read()
        await self._room.trust.file_opened(loaded.version.state)
        return loaded

    async def _read(self, known: Sequence[FileVersion] = ()) -> LoadedNotebook:
        assert self._path is not None
        return await trio.to_thread.run_sync(read_notebook, self._path, known, limiter=self._disk)

    # ------------------------------------------------------------------ saving

    async def save(self, path: Path | None) -> Path:
        """Write the .ipynb; the path written. Elsewhere, it is a copy with the extras of our own.

        Raises: SaveRefused, RuntimedError with the protocol's texts.
        """
        target = await self.resolve(self._target(path))
        try:
            if target == self._path:
                async with self._lock:
                    await self._write_own(asked=True)
            else:
                state = await self._signed_state()
                base = self._path or target
                copied = self._room.trust.for_copy(state.snapshot)
                await self._in_thread(target, attrs.evolve(state, snapshot=copied), base, None)
        except NotebookUnreadable as error:
            raise SaveRefused(
                f"{error}; saving would overwrite it. Move it away or save to another path"
            ) from error
        except OSError as error:
            raise RuntimedError(f"Failed to write notebook: {error}") from error
        return target

    async def resolve(self, target: Path) -> Path:
        """The room's own path if this is another spelling of it, through a link for instance."""
        own = self._path
        if own is None or target == own:
            return target
        same = await trio.to_thread.run_sync(is_same_file, target, own, limiter=self._disk)
        return own if same else target

    def _target(self, path: Path | None) -> Path:
        target = path or self._path
        if target is None:
            raise RuntimedError("Notebook has no path: pass save(path=...)")
        return notebook_target(target, "save")

    async def _write_own(self, *, asked: bool) -> None:
        """Write the room's own file, merging first what others have written. Holds the lock.

        Special cases: unless it is asked for, nothing is written that says the same as the file.

        Raises: NotebookUnreadable, SaveRefused, OSError.
        """
        assert self._path is not None
        for _ in range(_ATTEMPTS):
            self._schedule.saved()
            state = await self._signed_state()
            heads = self._room.document.heads
            if not asked and self._versions and self._versions[0].state == state:
                self._saved_heads = heads
                return
            version = FileVersion(None, tuple(heads), state)
            try:
                written = await self._in_thread(self._path, state, self._path, version)
            except ChangedUnderneath:
                await self._take_in()
                continue
            except BaseException:
                self._save_soon()
                raise
            self._remember(attrs.evolve(version, digest=written.digest, outputs=written.outputs))
            self._saved_heads = heads
            self._complaint = None
            await self._save_state()
            return
        self._save_soon()
        raise SaveRefused(f"{self._path} is being written by another program; try again")

    async def _signed_state(self) -> NotebookState:
        """The document as it is at one moment, with a good signature if it may have one."""
        state = await self._current_state()
        if self._room.trust.lacks_signature(state) and await self._room.trust.sign():
            state = await self._current_state()
        return state

    async def _current_state(self) -> NotebookState:
        """The document as it is at one moment, read with pauses if it rests as long as that."""
        self._room.publish()
        document = self._room.document
        for pauses in (True, True, False):
            heads = document.heads
            cells: list[CellState] = []
            for number, cell_id in enumerate(document.cell_ids(), 1):
                cells.append(CellState.of(document.cell(cell_id)))
                if pauses and number % _CELLS == 0:
                    await trio.lowlevel.checkpoint()
                    if document.heads != heads:
                        break
            else:
                return NotebookState(
                    tuple(cells), document.metadata_snapshot(), document.raw_metadata_strings()
                )
        raise AssertionError("without pauses nothing changes")

    async def _in_thread(
        self, target: Path, state: NotebookState, base: Path, version: FileVersion | None
    ) -> Written:
        """Write a state; that of our own file with its `version`, unless others have changed it."""
        read_blob = self._blobs.reader()
        widgets = self._room.widgets()
        known = [v.digest for v in self._versions[:1] if v.digest is not None]

        def announce(written: Written) -> None:
            if version is not None:
                writing = attrs.evolve(version, digest=written.digest, outputs=written.outputs)
                self._documents.write_state(self._state(writing))

        def write() -> Written:
            if target not in (base, self._path):
                read_base(target)  # which refuses what is no notebook
            return write_notebook(
                target,
                state.cells,
                state.snapshot,
                read_blob,
                base,
                widgets=widgets,
                expected=None if version is None else known,
                before_rename=announce,
            )

        return await trio.to_thread.run_sync(write, limiter=self._disk)

    # ------------------------------------------------------------------ what others write

    async def _take_in(self) -> None:
        """Merge the file as it is now, if it is another than the one we know. Holds the lock.

        Raises: NotebookUnreadable.
        """
        assert self._path is not None
        # A version was the newest until the one before it in the list came.
        recent = sum(since > trio.current_time() - _STALE for since in self._since)
        known = self._versions[: max(1, recent + 1)]
        loaded = await trio.to_thread.run_sync(read_if_other, self._path, known, limiter=self._disk)
        if loaded is not None:
            await self._room.trust.refresh()
            self._merge(loaded)
            await self._save_state()

    def _merge(self, loaded: LoadedNotebook) -> None:
        room, version = self._room, loaded.version
        self._store(loaded)
        room.publish()
        base = loaded.base
        if base is None:  # a file that came where none was: nothing of it is known to be gone
            base = FileVersion(None, (), NotebookState(snapshot=room.document.metadata_snapshot()))
        newest = self._versions[0] if self._versions else None
        busy = room.busy_cells()
        exact = base is newest and not self.unsaved and not busy
        before = room.trust.content
        touched = merge_into(room.document, base.state, version.state, running=busy)
        room.trust.file_merged(before, version.state)
        self._remember(attrs.evolve(version, heads=tuple(room.document.heads), exact=exact))
        if exact:
            self._saved_heads = room.document.heads
        if touched:
            log.info("file merged path=%s cells=%d", self._path, len(touched.cells))
            room.document_changed()
            room.file_merged(touched)
        elif not exact:
            self._save_soon()

    def _store(self, loaded: LoadedNotebook) -> None:
        """Put the large parts of a file into the blob store."""
        for blob in loaded.blobs:
            self._blobs.put_nowait(blob.data, blob.media_type, blob.hash)
        for manifest in loaded.manifests:
            for blob in manifest.blobs:
                self._blobs.put_nowait(blob.data, blob.media_type, blob.hash)
            self._blobs.put_nowait(manifest.json, MANIFEST_MEDIA_TYPE, manifest.hash)

    # ------------------------------------------------------------------ living

    async def run(self) -> None:
        """Follow the file and save when it is due. Runs until cancelled; begins after `load`."""
        if self._path is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, self._path)
            nursery.start_soon(self._save_when_due)

    async def _follow(self, path: Path) -> None:
        with self._watch.watching(path) as file:
            while True:
                await file.wait_changed()
                async with self._lock:
                    try:
                        await self._take_in()
                        self._complaint = None
                        if self.unsaved:  # a save may have been refused for what was there before
                            self._save_soon()
                    except RuntimedError as error:  # half written, or no notebook: until it is one
                        self._complain("file ignored for now", error)

    async def _save_when_due(self) -> None:
        while True:
            self._wanted = trio.Event()
            await self.settle_state()
            due = self._schedule.due()
            if due == math.inf:
                await self._wanted.wait()
            elif due > trio.current_time():
                await trio.sleep_until(due)
            elif not await self._save_if_changed():
                await trio.sleep(_RETRY)

    async def finish(self) -> None:
        """The last save, for a room that ends."""
        if self._state_is_news:
            await self._save_state()
        await self._save_if_changed()

    async def _save_if_changed(self) -> bool:
        """Autosave; False if it is to be tried again without a new change."""
        if not (self.unsaved and self._autosave_wanted and self._autosave()):
            self._schedule.saved()
            return True
        async with self._lock:
            try:
                await self._write_own(asked=False)
            except (NotebookUnreadable, SaveRefused) as error:
                self._schedule.saved()  # until somebody changes the document or the file
                self._complain("not autosaved", error)
            except (OSError, RuntimedError) as error:
                self._complain("not autosaved, will be tried again", error)
                self._schedule.changed(trio.current_time())
                return False
        return True

    def _complain(self, what: str, error: Exception) -> None:
        """Log a trouble once."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            log.warning("%s path=%s reason=%s", what, self._path, error)

    # ------------------------------------------------------------------ versions

    def _remember(self, version: FileVersion) -> None:
        self._versions = [version, *self._versions][:_VERSIONS]
        self._since = [trio.current_time(), *self._since][:_VERSIONS]

    def _state(self, writing: FileVersion | None = None) -> SavedState:
        return SavedState(self._notebook_id, tuple(self._versions), writing)

    async def _save_state(self) -> None:
        """Remember the versions on disk. Holds the lock, or nothing else runs yet or any more."""
        self._state_is_news = False
        try:
            await trio.to_thread.run_sync(
                self._documents.write_state, self._state(), limiter=self._disk
            )
        except BaseException as error:
            self._state_is_news = True
            if not isinstance(error, OSError):
                raise
            log.warning("saved state not written path=%s error=%s", self._path, error)


def _batches(cells: Sequence[CellState]) -> Iterator[list[CellState]]:
    batch: list[CellState] = []
    characters = 0
    for cell in cells:
        batch.append(cell)
        characters += len(cell.source)
        if len(batch) >= _CELLS or characters >= _CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
