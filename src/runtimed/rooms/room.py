"""A room: one open notebook, its document, its peers, its kernel.

Changes are synchronous methods; what waits is the room's own tasks. The edges call in here and
decide nothing; nothing here knows a socket.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import orjson
import trio

from runtimed.blobs.store import BlobStore
from runtimed.document.actors import daemon_actor
from runtimed.document.new_notebook import fill_new_notebook
from runtimed.document.notebook import NotebookDocument, Touched
from runtimed.document.settings_values import Settings
from runtimed.environments.resolution import RESOLVE, check_request
from runtimed.errors import LocalProtocolError, RoomClosed, RuntimedError, SaveRefused
from runtimed.kernels.kernels import Kernels
from runtimed.protocol import broadcasts, pool, progress
from runtimed.protocol.connection import encode_broadcast
from runtimed.protocol.structures import CommSnapshot
from runtimed.rooms.assets import MarkdownAssets
from runtimed.rooms.clone import write_clone
from runtimed.rooms.config import RoomConfig
from runtimed.rooms.document_file import DocumentFile
from runtimed.rooms.document_saving import DocumentSaving
from runtimed.rooms.environment_sync import EnvironmentSync
from runtimed.rooms.epochs import EpochRequest, Epochs
from runtimed.rooms.execution import CellRunner, LaunchedKernel
from runtimed.rooms.file_news import file_changed
from runtimed.rooms.file_watch import FileWatch
from runtimed.rooms.formatting import format_cells
from runtimed.rooms.kernel_choice import KernelChoice
from runtimed.rooms.kernel_slot import KernelSlot
from runtimed.rooms.notebook_file import LoadedNotebook
from runtimed.rooms.notebook_saving import notebook_target
from runtimed.rooms.occupancy import Occupancy
from runtimed.rooms.peer import Peer
from runtimed.rooms.presence import RoomPresence
from runtimed.rooms.shared_file import SharedFile
from runtimed.rooms.trust import RoomTrust

__all__ = ["Room", "RoomConfig"]

log = logging.getLogger(__name__)

#: Seconds for the last save of the .ipynb.
_LAST_SAVE = 1.0

#: Types of kernel that a client asks for to whom it does not matter.
_ANY_TYPE = ("", "auto", "python")


class Room:
    """One open notebook. Made by Rooms, which runs it as a task of its own."""

    def __init__(
        self,
        notebook_id: str,
        path: Path | None,
        *,
        config: RoomConfig,
        blobs: BlobStore,
        kernels: Kernels,
        disk: trio.CapacityLimiter,
        watch: FileWatch,
    ) -> None:
        self.notebook_id = notebook_id
        self.path = path
        self.working_dir: Path | None = None
        self.peers: set[Peer] = set()
        self.presence = RoomPresence(self.peers)
        self.loading = False
        self.ending = False
        self.document = NotebookDocument.create(notebook_id, daemon_actor())
        self.runner = CellRunner(self, blobs)
        self._config = config
        self._blobs = blobs
        self._disk = disk
        stored = DocumentFile(config.documents, notebook_id, disk)
        self.trust = RoomTrust(self, config.trust, stored.path.with_suffix(".trust"), disk)
        self.file = SharedFile(
            self,
            notebook_id,
            path,
            documents=stored,
            blobs=blobs,
            disk=disk,
            history=config.history,
            watch=watch,
            autosave=lambda: config.settings().autosave,
        )
        self._saving = DocumentSaving(self, stored, blobs)
        self._occupancy = Occupancy(self.peers, lambda: config.keep_alive)
        self._close = trio.Event()
        self._loaded = trio.Event()
        self._ended = trio.Event()
        self._heads_changed = trio.Event()
        self.assets = MarkdownAssets(self, blobs, disk)
        self._changed_at = -math.inf
        self.epochs = Epochs(self, config.history)
        self._kernel_choice = KernelChoice(self, config.notebooks, disk)
        self.environment = EnvironmentSync(self)
        self._slot = KernelSlot(self.runner, kernels, self._env_progress, self.environment.look)

    def __repr__(self) -> str:
        return f"<Room {self.notebook_id} peers={len(self.peers)} cells={len(self.document)}>"

    # ------------------------------------------------------------------ peers

    def join(self) -> Peer:
        """Add a peer. Synchronous, so that a room just found can't end in between."""
        peer = Peer(self.document.new_peer(), self.epochs.number)
        if len(self.runner.widgets.comms):
            peer.post_first(self.runner.widgets.frames())
        self.peers.add(peer)
        self._occupancy.changed()
        return peer

    def leave(self, peer: Peer) -> None:
        """Remove a peer; what runs goes on."""
        self.peers.discard(peer)
        self.presence.left(peer)
        self.runner.inputs.set_answering(peer, False)
        self._occupancy.changed()

    def receive_sync(self, peer: Peer, message: bytes) -> None:
        """Apply a peer's sync message.

        Raises: RemoteProtocolError for bytes that are none; the document is as before.
        """
        if not self.epochs.is_here(peer):
            return  # about a document that is gone; the peer brings along what it had edited there
        touched = self.document.receive_sync(peer.sync, message)
        peer.announced(message)
        if touched:
            peer.owe_answer()
            self._changed(self.peers - {peer})
            self.assets.look_at(touched.cells)
            self.environment.touched(touched)
        else:
            peer.mark_behind()

    def generate_sync(self, peer: Peer) -> bytes | None:
        """The one message that brings a peer up to date; asked for when its socket can take it."""
        peer.behind = False
        if not self.epochs.is_here(peer):
            return None
        return self.document.generate_sync(peer.sync)

    def document_changed(self) -> None:
        """Mark the peers behind and have the document saved."""
        self._changed(self.peers)

    def _changed(self, behind: Iterable[Peer]) -> None:
        for peer in behind:
            peer.mark_behind()
        self._changed_at = trio.current_time()
        self._saving.changed()
        if self.document.changes > self.epochs.look_at:
            self.epochs.is_long()
        self.file.changed()
        self._tell_waiters()

    def _tell_waiters(self) -> None:
        self._heads_changed.set()
        self._heads_changed = trio.Event()

    def broadcast(self, message: broadcasts.NotebookBroadcast) -> None:
        """Put a message in every peer's outbox; encoded once.

        One that is too large or too deep for a frame is left out; the document has the content.
        """
        self._post(self.peers, message)

    def _post(self, peers: Collection[Peer], message: broadcasts.NotebookBroadcast) -> None:
        if not peers:
            return
        try:
            frame = encode_broadcast(message)
        except LocalProtocolError as error:
            log.warning("broadcast left out reason=%s", error)
            return
        for peer in peers:
            peer.post((frame,))

    def kernel_state(self, status: str) -> None:
        """Let the presence of the kernel follow; it travels with what is broadcast anyway."""
        launched = self.runner.kernel
        self.presence.kernel_state(status, launched.env_source if launched else None)

    def broadcast_comm(
        self, message: broadcasts.Comm | broadcasts.CommSync, *, but: Peer | None = None
    ) -> None:
        """Tell the peers about widgets, all or all but one."""
        if not self.peers:
            return
        try:
            frame = encode_broadcast(message)
        except LocalProtocolError as error:
            log.warning("widget message left out reason=%s", error)
            return
        for peer in self.peers:
            if peer is not but:
                peer.post_comm(frame)

    def take_comms(self, peer: Peer) -> list[bytes]:
        """What a peer gets that was too far behind for single messages about widgets.

        It goes behind whatever else waits for the peer, all of which is older.
        """
        peer.comms_behind = False
        return self.runner.widgets.frames()

    def tell(self, peer_ids: Iterable[str], message: broadcasts.NotebookBroadcast) -> None:
        """Put a message in the outboxes of some peers."""
        chosen = frozenset(peer_ids)
        self._post([peer for peer in self.peers if peer.id in chosen], message)

    def epoch_request(self, peer: Peer, request: EpochRequest) -> None:
        """What a peer says of its epoch, in the order of its stream."""
        self.epochs.hear(peer, request)
        self._tell_waiters()

    async def wait_edits(self, peer: Peer, heads: Sequence[str], written_in: int) -> None:
        """Wait for what a peer had edited when it wrote a request; the caller sets the limit.

        `heads` are those that it named, `written_in` the epoch it wrote in.
        """
        while not self.epochs.has(peer, heads, written_in):
            await self._heads_changed.wait()

    async def wait_announced(self, peer: Peer) -> None:
        """Wait for what a peer's latest sync message names and lacks; the caller sets the limit."""
        while not self.epochs.has_announced(peer):
            await self._heads_changed.wait()

    async def wait_loaded(self) -> None:
        """Wait until the notebook's file is in the document completely.

        Raises: RoomClosed if the room ended before.
        """
        await self._loaded.wait()
        if self.loading:
            raise RoomClosed("The notebook was closed while its file was being read")

    # ------------------------------------------------------------------ content

    @property
    def resting(self) -> float:
        """Seconds since the last change; 0 while a cell runs."""
        if self.runner.queue.executing is not None:
            return 0.0
        return trio.current_time() - self._changed_at

    @property
    def busy_with_file(self) -> bool:
        """Whether the file is at work for a version of the document as it is."""
        return self.file.busy

    def go_on_in(self, document: NotebookDocument) -> None:
        """Take a document with the same content in place of the present one, and have it written.

        Nobody may keep the room's document across an await.
        """
        old, self.document = self.document, document
        self.file.begun_anew(old)
        self.document_changed()

    @property
    def settings(self) -> Settings:
        """The user's settings at this moment."""
        return self._config.settings()

    @property
    def untitled(self) -> bool:
        """Whether the room's id is a UUID, as those of notebooks without a file are."""
        try:
            uuid.UUID(self.notebook_id)
        except ValueError:
            return False
        return True

    def needs_trust_approval(self) -> bool:
        """Whether the notebook's file asks for packages that nobody here has approved."""
        return self.trust.needs_approval

    def offer_metadata(self, snapshot: str) -> None:
        """Metadata from a peer that joins, for a document that has none yet."""
        if self.document.metadata_snapshot() is not None:
            return
        try:
            value = orjson.loads(snapshot)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            log.warning("initial metadata ignored")
            return
        self.document.set_metadata_snapshot(value)
        self.trust.metadata_offered()
        self.document_changed()

    def fill(self, runtime: str | None = None) -> None:
        """Make an empty document a new notebook: one empty cell and the runtime's metadata.

        Without a runtime it is the user's default one, as is the section for packages.
        """
        settings = self.settings
        fill_new_notebook(
            self.document,
            self.notebook_id,
            runtime or settings.default_runtime,
            settings.default_python_env,
            cell_id=str(uuid.uuid4()),
        )
        self.document_changed()
        self.file.is_new()

    def assets_resolved(self, assets: Mapping[str, Mapping[str, str]]) -> None:
        """Write which blobs the images of markdown cells are. Files hold nothing of it, so a
        notebook that was saved still is."""
        with self.file.beside_content(), self.document.batch():
            for cell_id, found in assets.items():
                if cell_id in self.document:  # deleted, perhaps, while others were looked at
                    self.document.set_resolved_assets(cell_id, found)
        self.document_changed()

    async def save(self, path: Path | None) -> Path:
        """Write the .ipynb; the path written.

        Raises: SaveRefused, RuntimedError with the protocol's texts.
        """
        await self.wait_loaded()
        return await self.file.save(path)

    def file_merged(self, touched: Touched) -> None:
        """What another program wrote into the notebook's file is in the document now."""
        self.assets.look_at(touched.cells)
        self.environment.look()
        if (message := file_changed(self.document)) is not None:
            self.broadcast(message)

    def busy_cells(self) -> set[str]:
        """The cells that run or wait: their outputs are the kernel's."""
        queue = self.runner.queue
        running = [queue.executing] if queue.executing else []
        return {execution.cell_id for execution in [*running, *queue.queued]}

    def widgets(self) -> Sequence[CommSnapshot]:
        """The widgets that live now, for the file."""
        return self.runner.widgets.comms.snapshots(to_newcomer=False)

    def publish(self) -> None:
        """Put all outputs there are into the document."""
        self.runner.publisher.publish()

    async def clone(self, path: Path, *, overwrite: bool) -> Path:
        """Write a copy without outputs, with an environment of its own; the path written.

        The room is not affected.
        Raises: SaveRefused, also for a file that exists and may not be overwritten; RuntimedError.
        """
        target = await self.file.resolve(notebook_target(path, "clone"))
        if target == self.path:
            raise SaveRefused(f"'{target}' is the notebook itself: choose another path")
        await self.wait_loaded()
        cells = self.document.cells()
        snapshot = self.document.metadata_snapshot()
        read_blob = self._blobs.reader()

        def write() -> None:
            write_clone(target, cells, snapshot, read_blob, self.path, overwrite=overwrite)

        try:
            await trio.to_thread.run_sync(write, limiter=self._disk)
        except OSError as error:
            raise RuntimedError(f"Failed to write notebook: {error}") from error
        return target

    async def format_cells(self) -> int:
        """Format the code cells with what is installed, as well as it goes; how many changed."""
        await self.wait_loaded()
        return await format_cells(self, None if self.path is None else self.path.parent)

    # ------------------------------------------------------------------ kernel

    @property
    def has_kernel(self) -> bool:
        """Whether cells can be queued: a kernel runs, or is about to."""
        return self._slot.usable

    @property
    def launching(self) -> bool:
        return self._slot.launching

    async def launch(
        self, kernel_type: str = "auto", env_source: str = "auto", search_from: Path | None = None
    ) -> tuple[LaunchedKernel, bool]:
        """The room's kernel, launched if need be; True with it if this call found it running.

        A launch belongs to the room: a caller that goes away does not end it; those that come
        meanwhile share it. One that nobody has asked for or used gives way to one that is named.
        Raises: RuntimedError with the reason.
        """
        check_request(kernel_type, env_source)
        return await self._launch(kernel_type, env_source, search_from, explicit=True)

    async def _launch(
        self, kernel_type: str, env_source: str, search_from: Path | None, *, explicit: bool
    ) -> tuple[LaunchedKernel, bool]:
        choice = self._kernel_choice
        return await self._slot.launch(
            self._nursery,
            partial(choice.choose, kernel_type, env_source, search_from, explicit=explicit),
            partial(choice.folder, search_from),
            explicit=explicit,
            named=explicit and (env_source not in RESOLVE or kernel_type not in _ANY_TYPE),
        )

    def end_kernel(self) -> None:
        """Begin to stop the kernel: no cell is for it any more. `stop_kernel` waits for its end."""
        self._slot.end()

    async def stop_kernel(self) -> bool:
        """Shut the kernel down and wait for its end; False if there was none."""
        return await self._slot.stop()

    def auto_launch(self) -> None:
        """Start a kernel for the first peer, unless something must be approved first."""
        if self._slot.occupied:
            return
        if self.trust.needs_approval:
            return
        self._nursery.start_soon(self._auto_launch)

    async def _auto_launch(self) -> None:
        try:
            await self._launch("auto", "auto", None, explicit=False)
        except RuntimedError as error:
            log.warning("auto-launch failed error=%s", error)

    def _env_progress(self, kind: str, phase: progress.Phase) -> None:
        self.broadcast(broadcasts.EnvProgress(env_type=kind, phase=phase))

    def info(self) -> pool.RoomInfo:
        """What the list of rooms says of this one. Never waits."""
        launched = self.runner.kernel
        status = "starting" if self.launching else self.runner.status
        shown = launched is not None or self.launching
        return pool.RoomInfo(
            notebook_id=self.notebook_id,
            active_peers=len(self.peers),
            has_kernel=launched is not None,
            kernel_type=launched.kernel_type if launched else None,
            env_source=launched.env_source if launched else None,
            kernel_status=status if shown else None,
            kernel_pid=launched.kernel.pid if launched else None,
            queued=len(self.runner.queue.queued) or None,
            loading=self.loading or None,
            path=str(self.path) if self.path else None,
            unsaved=self.file.unsaved or None,
            kernel_id=launched.kernel.kernel_id if launched else None,
        )

    # ------------------------------------------------------------------ living

    def close(self) -> None:
        """Ask the room to end, whoever is in it. From now on nobody joins it any more."""
        self.ending = True
        self._close.set()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    async def run(
        self,
        loaded: LoadedNotebook | None = None,
        *,
        task_status: trio.TaskStatus[Room] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the room. Started with self; returns when it was unused for the keep-alive time, or
        closed. Its kernel has ended then, and its document is on disk.
        """
        self.loading = loaded is not None
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self.runner.publisher.run)
                self._nursery.start_soon(self._saving.run)
                self._nursery.start_soon(self.epochs.run)
                self._nursery.start_soon(self.presence.run)
                self._nursery.start_soon(self.assets.run)
                self._nursery.start_soon(self.environment.run)
                self._nursery.start_soon(self._load_and_follow, loaded)
                task_status.started(self)
                await self._wait_unused_or_closed()
                self.ending = True
                for peer in self.peers:
                    peer.dismiss("The notebook was closed", tell=True)
                await self.stop_kernel()
                self._nursery.cancel_scope.cancel()
        finally:
            self.ending = True
            for peer in self.peers:
                peer.dismiss("The notebook was closed", tell=self._close.is_set())
            try:
                await self._save_last()
            finally:
                self._loaded.set()
                self._ended.set()

    async def _save_last(self) -> None:
        """Save what the room ends with, each step within its time."""
        await self._saving.finish()
        if self.loading:
            return  # what is half loaded must not replace the whole
        with trio.move_on_after(_LAST_SAVE, shield=True):
            await self.file.finish()
        await self._saving.finish()  # what the last save has merged

    async def _load_and_follow(self, loaded: LoadedNotebook | None) -> None:
        if loaded is not None:
            await self.file.load(loaded)
        self.loading = False
        self._loaded.set()
        self.assets.look_at(self.document.cell_ids())
        await self.file.run()

    async def _wait_unused_or_closed(self) -> None:
        async with trio.open_nursery() as waiting:

            async def until_closed() -> None:
                await self._close.wait()
                waiting.cancel_scope.cancel()

            waiting.start_soon(until_closed)
            await self._occupancy.wait_unused()
            waiting.cancel_scope.cancel()
