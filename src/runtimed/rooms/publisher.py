"""Publishing what runs of cells have put out: gathered, written to the document, told to the peers.

Changes are gathered and published together: at once when a cell ends, a few milliseconds after the
first one otherwise, so that a short cell costs its peers one message. What is published when is
decided here; that something has happened is said by whoever runs the cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs
import orjson
import trio

from runtimed.blobs.store import BlobStore
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import BlobStoreFull, CellNotFound
from runtimed.messages.queue import Execution, ExecutionQueue
from runtimed.outputs.cell_outputs import CellOutputs, SetOutput, Truncate
from runtimed.outputs.display_index import DisplayIndex
from runtimed.outputs.manifest import MANIFEST_MEDIA_TYPE, Manifest, updated_manifest
from runtimed.outputs.pace import Pace
from runtimed.protocol import broadcasts

__all__ = ["Publisher", "RoomChanges", "Run"]

#: Seconds between an output, or mere news of queue and kernel, and their publication: what belongs
#: together travels together, and a cell that ends sooner costs its peers one message.
_GATHER = 0.007
_GATHER_NEWS = 0.02

#: The same for a run that has been publishing for a while, whose end is not to be expected at once,
#: and the seconds of silence after which its outputs are no burst.
_GATHER_RUNNING = 0.0015
_SILENCE = 0.02

#: Seconds for each waiting cell between two broadcasts of the queue.
_QUEUE_NEWS_PER_CELL = 0.0002


class RoomChanges(Protocol):
    """What publishing needs of a room: a place for changes."""

    document: NotebookDocument

    def document_changed(self) -> None: ...

    def broadcast(self, message: broadcasts.NotebookBroadcast) -> None: ...

    def kernel_state(self, status: str) -> None: ...


@attrs.define
class Run:
    """One execution under way, or a finished one whose threads may still print."""

    execution: Execution
    outputs: CellOutputs
    count: int | None = None
    count_written: bool = False
    announced: bool = False
    started: float | None = None  # when the kernel took the cell up
    idle: bool = False
    replied: bool = False
    failed: bool = False
    done: bool = False
    interrupt_wanted: bool = False
    published: float = -math.inf
    pace: Pace = attrs.field(factory=Pace)
    due: float = -math.inf  # when to publish what is new


@attrs.define
class _DisplayNews:
    """The newest content of a display, to be told once its outputs have it."""

    broadcast: broadcasts.DisplayUpdate
    runs: Sequence[Run]  # those that show it
    stored: Sequence[tuple[str, int]]  # outputs that no run knows any more: cell and index


class Publisher:
    """Publishes for one room. Knows its queue only to tell it."""

    def __init__(self, room: RoomChanges, blobs: BlobStore, queue: ExecutionQueue) -> None:
        self._room = room
        self._blobs = blobs
        self._queue = queue
        self.displays = DisplayIndex()
        self._dirty: dict[str, Run] = {}
        self._gathered: list[broadcasts.NotebookBroadcast] = []
        self._display_news: dict[str, _DisplayNews] = {}
        self._stored_pace = Pace()
        self._kernel_status: str | None = None
        self._queue_is_news = False
        self._next_queue_news = 0.0
        self._publication = trio.CancelScope()  # its deadline is when to publish; see run

    def gather(self, message: broadcasts.NotebookBroadcast) -> None:
        """Keep a broadcast until the next publication."""
        self._gathered.append(message)
        if isinstance(message, broadcasts.KernelStatus):
            self._kernel_status = message.status
        self._publish_by(trio.current_time() + _GATHER_NEWS)

    def changed(self, run: Run) -> None:
        """A run has new output. What only revises what has been shown keeps the run's pace."""
        now = trio.current_time()
        silent = math.isfinite(run.published) and now - run.published > _SILENCE
        due = now + (_GATHER_RUNNING if silent else _GATHER)
        if run.outputs.only_revised:
            due = max(due, run.pace.due(now))
        run.due = min(run.due, due) if run.execution.id in self._dirty else due
        self._dirty[run.execution.id] = run
        self._publish_by(due)

    def mark(self, run: Run) -> None:
        """A run has something for the next publication, which need not come sooner for it."""
        self._dirty[run.execution.id] = run
        run.due = -math.inf

    def display_updated(
        self,
        update: broadcasts.DisplayUpdate,
        runs: Sequence[Run],
        stored: Sequence[tuple[str, int]],
    ) -> None:
        """A display has new content: in these runs already, not yet in these stored outputs."""
        self._display_news[update.display_id] = _DisplayNews(update, runs, stored)
        now = trio.current_time()
        due = now + _GATHER_NEWS
        self._publish_by(max(due, self._stored_pace.due(now)) if stored else due)

    def forget(self, run: Run | None) -> None:
        """The cell of this run is running anew: what the old one still prints is not shown."""
        if run is not None:
            self._dirty.pop(run.execution.id, None)

    @property
    def waiting(self) -> Iterable[Run]:
        """The runs that have something for the next publication."""
        return self._dirty.values()

    def _publish_by(self, due: float) -> None:
        # Moving a deadline wakes nobody: a cell that ends before it costs no task switch.
        if due < self._publication.deadline:
            self._publication.deadline = due

    async def run(self) -> None:
        """Publish when it is due. Runs until cancelled."""
        while True:
            with self._publication:
                await trio.sleep_forever()
            self._publication = trio.CancelScope()
            self.publish(everything=False)

    def publish(self, *, everything: bool = True) -> None:
        """Write gathered outputs to the document, then hand the broadcasts to the peers.

        Without `everything`, what revises what has been shown waits until it is due.
        """
        if not self._publication.cancel_called:
            self._publication.deadline = math.inf
        now = trio.current_time()
        for run in list(self._dirty.values()):
            if everything or run.due <= now:
                self.flush(run)
            else:
                self._publish_by(run.due)
        if self._display_news:
            self._tell_displays(everything)
        if self._queue_is_news:
            self._tell_queue()
        gathered, self._gathered = self._gathered, []
        for message in gathered:
            self._room.broadcast(message)
        # Presence has the last status only, so a cell that ran in between is no news to it.
        if (status := self._kernel_status) is not None:
            self._kernel_status = None
            self._room.kernel_state(status)

    def flush(self, run: Run) -> None:
        """One document change for everything new of a run."""
        self._dirty.pop(run.execution.id, None)
        changes = run.outputs.take_changes()
        document = self._room.document
        cell_id = run.execution.cell_id
        if cell_id not in document:
            return
        hints: list[broadcasts.NotebookBroadcast] = []
        with document.batch():
            if run.count is not None and not run.count_written:
                document.set_execution_count(cell_id, run.count)
                run.count_written = True
            for change in changes:
                hints += self._apply(run, change)
        now = trio.current_time()
        if changes:
            run.pace.shown(now)
        run.published = now
        self._room.document_changed()
        self._gathered += hints
        if self._display_news:
            self._tell_displays(everything=False)  # those of this run, before its end is told

    def _tell_displays(self, everything: bool) -> None:
        """Tell the displays whose outputs are in the document."""
        now = trio.current_time()
        stored_due = self._stored_pace.due(now)
        wrote = False
        for display_id, news in list(self._display_news.items()):
            if any(run.execution.id in self._dirty for run in news.runs):
                continue  # told with its run
            if news.stored and not everything and stored_due > now:
                self._publish_by(stored_due)
                continue
            del self._display_news[display_id]
            for cell_id, index in news.stored:
                self._update_stored(cell_id, index, news.broadcast)
                wrote = True
            self._gathered.append(news.broadcast)
        if wrote:
            self._stored_pace.shown(now)

    def queue_changed(self) -> None:
        """The queue is not as it was last told."""
        self._queue_is_news = True
        self._publish_by(trio.current_time() + _GATHER_NEWS)

    def _tell_queue(self) -> None:
        """Broadcast the queue as it is now; a long one seldom, since it is told whole."""
        now = trio.current_time()
        waiting = len(self._queue)
        if waiting and now < self._next_queue_news:
            self._publish_by(self._next_queue_news)
            return
        executing = self._queue.executing
        self._gathered.append(
            broadcasts.QueueChanged(
                executing=executing.cell_id if executing else None,
                queued=[entry.cell_id for entry in self._queue.queued],
            )
        )
        self._queue_is_news = False
        self._next_queue_news = now + waiting * _QUEUE_NEWS_PER_CELL

    def _apply(self, run: Run, change: SetOutput | Truncate) -> list[broadcasts.NotebookBroadcast]:
        document = self._room.document
        cell_id = run.execution.cell_id
        present = document.outputs(cell_id)
        if isinstance(change, Truncate):
            if change.length < len(present):
                document.set_outputs(cell_id, present[: change.length])
            self.displays.truncate(cell_id, change.length)
            return [broadcasts.OutputsCleared(cell_id=cell_id)] if change.length == 0 else []
        manifest = change.manifest
        try:
            self._store(manifest)
            entry = manifest.hash
        except BlobStoreFull as error:
            entry = _not_stored(error)
        # A peer may have removed outputs of the running cell: then what comes goes to the end.
        if change.index < len(present):
            document.replace_output(cell_id, change.index, entry)
        else:
            document.append_output(cell_id, entry)
        self.displays.set(cell_id, change.index, manifest.display_id)
        return [
            broadcasts.Output(
                cell_id=cell_id,
                output_type=manifest.output_type,
                output_json=entry,
                output_index=change.index,
                execution_id=run.execution.id,
                manifest=manifest.json.decode() if entry == manifest.hash else None,
            )
        ]

    def _update_stored(self, cell_id: str, index: int, update: broadcasts.DisplayUpdate) -> None:
        """Give an output that no run knows any more new content."""
        document = self._room.document
        try:
            stored = self._blobs.read(document.outputs(cell_id)[index])
            if stored is None:
                return
            manifest = updated_manifest(orjson.loads(stored), update.data, update.metadata)
            self._store(manifest)
        except (BlobStoreFull, CellNotFound, IndexError, ValueError):
            return  # removed by somebody meanwhile, or no place for the new one: the old one stays
        document.replace_output(cell_id, index, manifest.hash)
        self._room.document_changed()

    def _store(self, manifest: Manifest) -> None:
        for blob in manifest.blobs:
            self._blobs.put_nowait(blob.data, blob.media_type, blob.hash)
        self._blobs.put_nowait(manifest.json, MANIFEST_MEDIA_TYPE, manifest.hash)


def _not_stored(error: BlobStoreFull) -> str:
    """What stands in the document for an output that there was no place for: raw output JSON."""
    text = f"[an output was lost: {error}]\n"
    return orjson.dumps({"output_type": "stream", "name": "stderr", "text": text}).decode()
