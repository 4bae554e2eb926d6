"""The user's settings: one document for all peers, one file for people, kept in step.

What a peer or a hand edit changes is here at once and on disk a moment later. Knows nothing of
connections: peers are joined and left, sync messages are bytes.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from runtimed.document.save_schedule import SaveSchedule
from runtimed.document.settings_values import Settings, Values, hand_edits, read_json_values
from runtimed.errors import RuntimedError

if TYPE_CHECKING:
    from pathlib import Path

    from runtimed.document.settings import SettingsDocument
    from runtimed.document.shared_document import SyncPeer
    from runtimed.settings.files import Loaded, SettingsFiles, Signature

__all__ = ["SettingsPeer", "SettingsStore"]

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds without a change after which the files are written, and the longest they may wait.
_SAVE_QUIET = 0.25
_SAVE_LONGEST = 2.0

#: Seconds between two attempts to write while the disk refuses.
_SAVE_RETRY = 5.0

#: Seconds for the last save.
_LAST_SAVE = 1.0

#: Seconds between two looks at the settings file, and for which it must rest before it is read.
#: Looking is cheaper here than watching: it is one file, which may be a link, on any file system,
#: in a folder that need not exist yet.
_LOOK = 2.0
_REST = 0.1

#: How often the file is merged anew because it was edited in the very moment of writing.
_ATTEMPTS = 5


class SettingsPeer:
    """One peer of the settings document, for as long as its connection."""

    def __init__(self, sync: SyncPeer) -> None:
        self.sync = sync
        self._behind = trio.Event()
        self.mark_behind()  # the daemon speaks first

    def mark_behind(self) -> None:
        self._behind.set()

    async def wait_behind(self) -> None:
        """Wait until there may be something to tell."""
        await self._behind.wait()
        self._behind = trio.Event()


class SettingsStore:
    """The settings of this daemon's user.

    Loads nothing before somebody waits for that, so that a start is not delayed; until then the
    settings are the defaults. `document` is the shared document's file, `folder` has the user's.
    """

    def __init__(self, document: Path, folder: Path) -> None:
        self._paths = (document, folder)
        self.current = Settings()
        """The settings at this moment."""
        self._changed = trio.Event()
        self._wanted = trio.Event()
        self._loaded = trio.Event()
        self._peers: set[SettingsPeer] = set()
        self._schedule = SaveSchedule(_SAVE_QUIET, _SAVE_LONGEST)
        self._save_wanted = trio.Event()
        self._document: SettingsDocument
        self._files: SettingsFiles
        self._mirror: bytes | None = None  # as last read or written
        self._seen: Values = {}  # what it says, or said before it was damaged
        self._signature: Signature = None
        self._mirror_due = False
        self._refused = False
        # Two, so that a look at a file system that hangs does not keep the document from the disk.
        self._threads = trio.CapacityLimiter(2)
        # Reading, merging and writing the files is one thing at a time.
        self._disk = trio.Lock()

    # ------------------------------------------------------------------ looking

    async def wait_loaded(self) -> None:
        """Wait until the settings are what the user's files say."""
        if not self._loaded.is_set():
            self._wanted.set()
            await self._loaded.wait()

    async def wait_changed(self, seen: Settings) -> Settings:
        """The settings, once they differ from these."""
        while self.current == seen:
            await self._changed.wait()
        return self.current

    # ------------------------------------------------------------------ changing

    def join(self) -> SettingsPeer:
        """Add a peer; must be loaded."""
        peer = SettingsPeer(self._document.new_peer())
        self._peers.add(peer)
        return peer

    def leave(self, peer: SettingsPeer) -> None:
        self._peers.discard(peer)

    def receive_sync(self, peer: SettingsPeer, message: bytes) -> None:
        """Apply a peer's sync message.

        Raises: RemoteProtocolError for bytes that are none; the document is as before.
        """
        if self._document.receive_sync(peer.sync, message):
            self._mirror_due = True
            self._document_changed()
        peer.mark_behind()

    def generate_sync(self, peer: SettingsPeer) -> bytes | None:
        """The next message for a peer; None while there is nothing to say."""
        return self._document.generate_sync(peer.sync)

    def _document_changed(self) -> None:
        for peer in self._peers:
            peer.mark_behind()
        if self._schedule.due() == math.inf:
            self._save_wanted.set()
        self._schedule.changed(trio.current_time())
        self._look_at_document()

    def _look_at_document(self) -> None:
        settings = self._document.read()
        if settings != self.current:
            self.current = settings
            self._changed.set()
            self._changed = trio.Event()

    # ------------------------------------------------------------------ living

    async def run(
        self, *, task_status: trio.TaskStatus[SettingsStore] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep document and files in step. Started at once; runs until cancelled, then saves."""
        task_status.started(self)
        await self._wanted.wait()
        await self._load()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._save_when_due)
                await self._in_thread(self._files.write_schema)
                await self._watch()
        finally:
            if self._schedule.due() < math.inf:
                with trio.move_on_after(_LAST_SAVE, shield=True):
                    await self._save()

    async def _load(self) -> None:
        loaded = await self._read(self._open_files)
        self._document, self._mirror, self._seen = loaded.document, loaded.mirror, loaded.seen
        self._take_in_mirror()
        self._look_at_document()
        # Nothing is written for the first time only because a daemon has started.
        self._schedule.saved()
        self._loaded.set()

    def _open_files(self) -> Loaded:
        """In a thread, for it imports the document library."""
        from runtimed.settings.files import SettingsFiles

        self._files = SettingsFiles(*self._paths)
        self._signature = self._files.signature()
        return self._files.load()

    async def _watch(self) -> None:
        """Take in what people change in the settings file. Runs until cancelled."""
        while True:
            await trio.sleep(_LOOK)
            signature = await self._read(self._files.signature)
            while signature != self._signature:
                self._signature = signature
                await trio.sleep(_REST)
                signature = await self._read(self._files.signature)
                if signature == self._signature:
                    async with self._disk:
                        await self._read_mirror()

    async def _read_mirror(self) -> None:
        try:
            content = await self._read(self._files.read_mirror)
        except OSError as error:
            log.error("settings file can't be read path=%s error=%s", self._files.mirror, error)
            return
        if content != self._mirror:  # else it is our own writing, or the file was only touched
            self._mirror = content
            if self._take_in_mirror():
                log.info("settings file was edited path=%s", self._files.mirror)

    def _take_in_mirror(self) -> bool:
        """Merge what the settings file says into the document. Returns whether that changed."""
        if self._mirror is None:
            return False
        from runtimed.document.settings_mirror import parse_mirror

        try:
            content = parse_mirror(self._mirror)
        except ValueError as error:
            log.error(
                "settings file is ignored until it is mended path=%s error=%s",
                self._files.mirror,
                error,
            )
            return False
        stated = read_json_values(content)
        self._warn_of_unused(content)
        edits = hand_edits(self._seen, stated, self._document.read().values())
        self._seen = stated
        if not edits:
            return False
        try:
            self._document.update(edits)
        except RuntimedError as error:  # a peer has made a document of it that can't be written to
            log.error("settings file can't be taken in path=%s error=%s", self._files.mirror, error)
            return False
        self._document_changed()
        return True

    def _warn_of_unused(self, content: Mapping[str, Any]) -> None:
        from runtimed.document.settings_unused import unused_values

        for one in unused_values(content, self._document.read().values()):
            log.warning(
                "setting not used key=%s value=%s allowed=%s instead=%s path=%s",
                one.key,
                one.value,
                json.dumps(one.allowed),
                one.instead,
                self._files.mirror,
            )

    async def _save_when_due(self) -> None:
        """Write the files when changes are due. Runs until cancelled."""
        while True:
            self._save_wanted = trio.Event()
            due = self._schedule.due()
            if due == math.inf:
                await self._save_wanted.wait()
            elif due > trio.current_time():
                await trio.sleep_until(due)
            elif not await self._save():
                await trio.sleep(_SAVE_RETRY)

    async def _save(self) -> bool:
        """Bring the files up to the document. False if that must be tried again."""
        async with self._disk:
            self._schedule.saved()  # what changes from here on is for the next time
            try:
                if self._mirror_due:
                    await self._write_mirror()
                await self._in_thread(
                    self._files.write_document, self._document.save(), dict(self._seen)
                )
            except (OSError, RuntimedError) as error:
                if not self._refused:
                    log.error("settings not saved path=%s error=%s", self._files.document, error)
                self._refused = True
                self._schedule.changed(trio.current_time())
                return False
            except BaseException:  # cancelled: the last save brings it
                self._schedule.changed(trio.current_time())
                raise
            self._refused = False
            return True

    async def _write_mirror(self) -> None:
        """Bring the settings file up to the document, after taking in what it says by now."""
        from runtimed.document.settings_mirror import render_mirror

        for _ in range(_ATTEMPTS):
            await self._read_mirror()
            values = self._document.read().values()
            try:
                content = render_mirror(self._mirror, values)
            except ValueError:
                if not await self._keep_mirror_aside():
                    break
                continue
            self._mirror_due = False
            if content == self._mirror:
                break
            try:
                done = await self._in_thread(self._files.replace_mirror, self._mirror, content)
            except OSError as error:
                log.warning(
                    "settings file not written, make it writable path=%s error=%s",
                    self._files.mirror,
                    error,
                )
                break
            except BaseException:
                self._mirror_due = True
                raise
            if done:
                self._mirror, self._seen = content, values
                break
        else:
            log.warning("settings file is being edited, left alone path=%s", self._files.mirror)

    async def _keep_mirror_aside(self) -> bool:
        from runtimed.settings.files import keep_aside

        aside = await self._in_thread(keep_aside, self._files.mirror)
        if aside is not None:
            log.error(
                "settings file is damaged and was begun anew path=%s kept_as=%s",
                self._files.mirror,
                aside,
            )
        return aside is not None

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """For what must not be left halfway; what only reads may be abandoned."""
        return await trio.to_thread.run_sync(function, *arguments, limiter=self._threads)

    async def _read(self, function: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(
            function, limiter=self._threads, abandon_on_cancel=True
        )
