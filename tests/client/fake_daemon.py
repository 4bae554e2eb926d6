"""A daemon small enough to read: rooms, sync and a pretended kernel, over a real Unix socket.

It speaks through the same protocol core as the real one, in a thread of its own, so that every kind
of client can be tested against it. What its kernel does is in `Room.execute`.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

import outcome
import trio

from runtimed.document.actors import daemon_actor
from runtimed.document.new_notebook import fill_new_notebook
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import RuntimedError
from runtimed.outputs.manifest import build_manifest
from runtimed.protocol import broadcasts, events, handshake, pool, requests, responses
from runtimed.protocol.connection import NEED_DATA, Connection, Role
from runtimed.protocol.structures import (
    CompletionItem,
    HistoryEntry,
    LaunchedEnvConfig,
)

T = TypeVar("T")


class Peer:
    """One connection to a room."""

    def __init__(self, stream: trio.SocketStream, connection: Connection) -> None:
        self.stream = stream
        self.connection = connection
        self.sync: Any = None
        self.outbox: list[bytes] = []
        self.behind = True
        self.wake = trio.Event()
        self.wake.set()

    def post(self, message: Any) -> None:
        self.outbox.append(self.connection.send(message))
        self.wake.set()


class Room:
    """A notebook and a kernel that understands a handful of words."""

    def __init__(self, daemon: FakeDaemon, notebook_id: str) -> None:
        self.daemon = daemon
        self.document = NotebookDocument.create(notebook_id, daemon_actor())
        self.peers: list[Peer] = []
        self.kernel: tuple[str, str] | None = None
        self.count = 0
        self.queue: list[tuple[str, str]] = []
        self.running: tuple[str, str] | None = None
        self.scope: trio.CancelScope | None = None
        self.how_it_ends = "ok"
        self.ids = itertools.count(1)
        self.work = trio.Event()
        self.news = trio.Event()

    def changed(self) -> None:
        self.news.set()
        self.news = trio.Event()
        for peer in self.peers:
            peer.behind = True
            peer.wake.set()

    def tell(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        for peer in self.peers:
            peer.post(broadcast)

    def done(self, run: tuple[str, str], how: str, reason: str | None = None) -> None:
        self.tell(broadcasts.ExecutionDone(run[0], run[1], how, reason))

    def enqueue(self, cell_id: str) -> str:
        for run in (*([self.running] if self.running else []), *self.queue):
            if run[0] == cell_id:
                return run[1]
        run = (cell_id, f"execution-{next(self.ids)}")
        self.queue.append(run)
        self.work.set()
        return run[1]

    async def run(self) -> None:
        while True:
            await self.work.wait()
            self.work = trio.Event()
            while self.queue:
                self.running = run = self.queue.pop(0)
                self.how_it_ends = "ok"
                with trio.CancelScope() as self.scope:
                    await self.execute(*run)
                how, self.running = self.how_it_ends, None
                if how == "kernel_died":
                    continue
                self.done(run, how)
                if how == "error":
                    self.drop_queue("aborted", "an earlier cell failed")

    def drop_queue(self, how: str, reason: str | None) -> None:
        queue, self.queue = self.queue, []
        for run in queue:
            self.done(run, how, reason)

    async def execute(self, cell_id: str, execution_id: str) -> None:
        """Run a cell. Its words: say, warn, show, blob (no manifest along), big N, fail, wait."""
        self.count += 1
        count = self.count
        with self.document.batch():
            self.document.clear_outputs(cell_id)
            self.document.set_execution_count(cell_id, count)
        self.changed()
        self.tell(broadcasts.ExecutionStarted(cell_id, count, execution_id))

        def put(output: dict[str, Any], manifest_along: bool = True) -> None:
            manifest = build_manifest(output)
            for blob in manifest.blobs:
                self.daemon.store(blob.hash, blob.data)
            self.daemon.store(manifest.hash, manifest.json)
            index = len(self.document.outputs(cell_id))
            self.document.append_output(cell_id, manifest.hash)
            self.changed()
            text = manifest.json.decode() if manifest_along else None
            self.tell(
                broadcasts.Output(
                    cell_id, manifest.output_type, manifest.hash, index, execution_id, text
                )
            )

        for line in self.document.source(cell_id).splitlines():
            word, _, text = line.partition(" ")
            if word == "say":
                put({"output_type": "stream", "name": "stdout", "text": text + "\n"})
            elif word == "blob":
                put({"output_type": "stream", "name": "stdout", "text": text + "\n"}, False)
            elif word == "warn":
                put({"output_type": "stream", "name": "stderr", "text": text + "\n"})
            elif word == "big":
                put({"output_type": "stream", "name": "stdout", "text": "x" * int(text)})
            elif word == "show":
                data = {"text/plain": text, "application/json": {"a": [1, 2]}}
                put({"output_type": "execute_result", "execution_count": count, "data": data})
            elif word == "wait":
                await trio.sleep_forever()
            elif word == "fail":
                put({"output_type": "error", "ename": "E", "evalue": text, "traceback": ["t"]})
                self.how_it_ends = "error"
                return
        await trio.lowlevel.checkpoint()

    def interrupt(self) -> None:
        self.drop_queue("cancelled", None)
        if self.running is not None and self.scope is not None:
            cell_id, _ = self.running
            output = {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": ""}
            manifest = build_manifest(output)
            self.daemon.store(manifest.hash, manifest.json)
            self.document.append_output(cell_id, manifest.hash)
            self.changed()
            self.how_it_ends = "error"
            self.scope.cancel()

    def kernel_ends(self, reason: str, *, asked: bool) -> None:
        self.kernel = None
        if self.running is not None and self.scope is not None:
            self.how_it_ends = "kernel_died"
            self.done(self.running, "kernel_died", reason)
            self.scope.cancel()
        self.drop_queue("kernel_died", reason)
        if not asked:
            self.tell(broadcasts.KernelError(reason))
        self.tell(broadcasts.KernelStatus("shutdown" if asked else "error"))


class FakeDaemon:
    """Run it with `with FakeDaemon(folder) as daemon:`; its socket is `daemon.socket`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "d.sock"
        self.blobs = folder / "blobs"
        self.rooms: dict[str, Room] = {}
        self.connections = 0
        self.requests: list[requests.NotebookRequest] = []
        self.hold_answers: set[type] = set()
        self.waited_for_heads = 0
        self._token: trio.lowlevel.TrioToken | None = None
        self._stop: trio.CancelScope | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)
        self._peers: set[Peer] = set()

    def __enter__(self) -> FakeDaemon:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            assert self._stop is not None
            stop = self._stop
            self.do(stop.cancel)
        self._thread.join(10)

    def do(self, function: Callable[[], T]) -> T:
        """Call a function on the daemon's thread and wait for its result."""
        assert self._token is not None
        results: SimpleQueue[outcome.Outcome[T]] = SimpleQueue()
        self._token.run_sync_soon(lambda: results.put(outcome.capture(function)))
        return results.get(timeout=60).unwrap()

    def cut(self) -> None:
        """Break every connection, as a crash would."""

        def cut() -> None:
            for peer in self._peers:
                peer.stream.socket.shutdown(socket.SHUT_RDWR)

        self.do(cut)

    def room(self, notebook_id: str) -> Room:
        return self.rooms[notebook_id]

    def store(self, digest: str, data: bytes) -> None:
        folder = self.blobs / digest[:2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / digest[2:]).write_bytes(data)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with trio.socket.socket(socket.AF_UNIX) as listener:
            await listener.bind(os.fspath(self.socket))
            listener.listen(50)
            with trio.CancelScope() as self._stop:
                async with trio.open_nursery() as self._nursery:
                    self._ready.set()
                    await trio.serve_listeners(self._serve, [trio.SocketListener(listener)])

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        connection = Connection(Role.DAEMON)
        peer = Peer(stream, connection)
        try:
            hello = await self._event(peer)
            if isinstance(hello, handshake.Pool):
                await self._serve_pool(peer)
            else:
                await self._serve_notebook(peer, hello)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _event(self, peer: Peer) -> Any:
        while (event := peer.connection.next_event()) is NEED_DATA:
            peer.connection.receive_data(await peer.stream.receive_some(65536))
        return event

    async def _serve_pool(self, peer: Peer) -> None:
        while not isinstance(event := await self._event(peer), events.Closed):
            assert isinstance(event, events.PoolRequest)
            response: pool.PoolResponse
            if isinstance(event.request, pool.Ping):
                response = pool.Pong()
            elif isinstance(event.request, pool.Status):
                response = pool.Stats(pool.PoolStats(2, 1, 3, 0, 0, 0))
            elif isinstance(event.request, pool.ListRooms):
                response = pool.RoomsList(
                    tuple(
                        pool.RoomInfo(name, len(room.peers), room.kernel is not None)
                        for name, room in self.rooms.items()
                    )
                )
            elif isinstance(event.request, pool.FlushPool):
                response = pool.Flushed()
            elif isinstance(event.request, pool.Shutdown):
                response = pool.ShuttingDown()
            else:
                response = pool.Error("no such thing here")
            await peer.stream.send_all(
                peer.connection.send(events.PoolResponse(response, event.id))
            )

    async def _serve_notebook(self, peer: Peer, hello: Any) -> None:
        blob_root = os.fspath(self.blobs)
        if isinstance(hello, handshake.NotebookSync):
            notebook_id = hello.notebook_id
        elif isinstance(hello, handshake.OpenNotebook):
            notebook_id = hello.path
            if "unreadable" in notebook_id:
                error = f"Cannot access notebook '{notebook_id}': no"
                refusal = handshake.NotebookConnectionInfo("", 0, False, error=error)
                await peer.stream.send_all(peer.connection.send(refusal))
                return
        else:
            notebook_id = hello.notebook_id or str(uuid4())
        room = self.rooms.get(notebook_id)
        if room is None:
            room = self.rooms[notebook_id] = Room(self, notebook_id)
            self._nursery.start_soon(room.run)
            if not isinstance(hello, handshake.NotebookSync):
                fill_new_notebook(room.document, notebook_id, "python", "uv", f"cell-{uuid4()}")
        reply: Any
        if isinstance(hello, handshake.NotebookSync):
            reply = handshake.ProtocolCapabilities(daemon_version="fake", blob_root=blob_root)
        else:
            reply = handshake.NotebookConnectionInfo(
                notebook_id, len(room.document), False, blob_root=blob_root
            )
        await peer.stream.send_all(peer.connection.send(reply))
        peer.sync = room.document.new_peer()
        room.peers.append(peer)
        self._peers.add(peer)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, room, peer)
                try:
                    await self._read(room, peer, nursery)
                except trio.BrokenResourceError:
                    pass
                nursery.cancel_scope.cancel()
        finally:
            room.peers.remove(peer)
            self._peers.discard(peer)

    async def _write(self, room: Room, peer: Peer) -> None:
        try:
            while True:
                await peer.wake.wait()
                peer.wake = trio.Event()
                frames, peer.outbox = peer.outbox, []
                message = room.document.generate_sync(peer.sync)
                if message is not None:
                    frames.insert(0, peer.connection.send(events.SyncMessage(message)))
                if frames:
                    await peer.stream.send_all(b"".join(frames))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _read(self, room: Room, peer: Peer, nursery: trio.Nursery) -> None:
        while True:
            event = await self._event(peer)
            if isinstance(event, events.Closed):
                return
            if isinstance(event, events.SyncMessage):
                room.document.receive_sync(peer.sync, event.data)
                room.changed()
            elif isinstance(event, events.Request):
                self.requests.append(event.request)
                if type(event.request) in self.hold_answers:
                    continue
                if room.document.has_heads(getattr(event.request, "heads", None) or ()):
                    self._respond(room, peer, event)  # in their order
                else:
                    nursery.start_soon(self._respond_later, room, peer, event)

    async def _respond_later(self, room: Room, peer: Peer, event: events.Request) -> None:
        # A sync message leaves out, now and then, what the client takes for known: wait for it.
        while not room.document.has_heads(getattr(event.request, "heads", ())):
            self.waited_for_heads += 1
            await room.news.wait()
        self._respond(room, peer, event)

    def _respond(self, room: Room, peer: Peer, event: events.Request) -> None:
        try:
            response = self._answer(room, peer, event.request)
        except RuntimedError as error:
            response = responses.Error(str(error))
        peer.post(events.Response(response, event.id))

    def _answer(
        self, room: Room, peer: Peer, request: requests.NotebookRequest
    ) -> responses.NotebookResponse:
        if isinstance(request, requests.GetHeads):
            return responses.Heads(room.document.heads)
        if isinstance(request, requests.EnsureMetadata):
            if room.document.ensure_metadata(request.cell_id, request.path, request.value):
                room.changed()
            return responses.Heads(room.document.heads)
        if isinstance(request, (requests.GetTrust, requests.ApproveTrust)):
            return responses.TrustInfo("no_dependencies", "x", (), (), (), ())
        if isinstance(request, requests.LaunchKernel):
            config = LaunchedEnvConfig()
            if room.kernel is not None:
                return responses.KernelAlreadyRunning(*room.kernel, config)
            if request.env_source == "uv:broken":
                return responses.Error("Failed to launch kernel: broken")
            source = "uv:prewarmed" if request.env_source == "auto" else request.env_source
            room.kernel = (request.kernel_type, source)
            room.tell(broadcasts.KernelStatus("idle"))
            return responses.KernelLaunched(*room.kernel, config)
        if isinstance(request, requests.ShutdownKernel):
            if room.kernel is None:
                return responses.NoKernel()
            room.kernel_ends("Kernel was shut down", asked=True)
            return responses.KernelShuttingDown()
        if isinstance(request, requests.LeaveNotebook):
            stop = request.stop_kernel and room.peers == [peer] and room.kernel is not None
            if stop:
                room.kernel_ends("Kernel was shut down", asked=True)
            return responses.LeftNotebook(stop)
        if isinstance(request, requests.GetQueueState):
            executing = room.running[0] if room.running else None
            return responses.QueueState(executing, [cell_id for cell_id, _ in room.queue])
        if isinstance(request, requests.GetKernelInfo):
            kernel_type, env_source = room.kernel or (None, None)
            return responses.KernelInfo(
                kernel_type, env_source, "idle" if room.kernel else "not_started"
            )
        if isinstance(request, requests.ClearOutputs):
            with room.document.batch():
                room.document.clear_outputs(request.cell_id)
                room.document.set_execution_count(request.cell_id, None)
            room.changed()
            return responses.OutputsCleared(request.cell_id)
        if isinstance(request, requests.SaveNotebook):
            return responses.NotebookSaved(request.path or "/saved.ipynb")
        if room.kernel is None:
            if isinstance(request, requests.SyncEnvironment):
                return responses.SyncEnvironmentFailed("No kernel running", False)
            return responses.NoKernel()
        if isinstance(request, requests.ExecuteCell):
            assert request.heads
            return responses.CellQueued(request.cell_id, room.enqueue(request.cell_id))
        if isinstance(request, requests.RunAllCells):
            code = [c for c in room.document.cell_ids() if room.document.cell_type(c) == "code"]
            return responses.AllCellsQueued(len(code), {c: room.enqueue(c) for c in code})
        if isinstance(request, requests.InterruptExecution):
            room.interrupt()
            return responses.InterruptSent()
        if isinstance(request, requests.Complete):
            return responses.CompletionResult((CompletionItem("print", source="kernel"),), 0, 2)
        if isinstance(request, requests.GetHistory):
            return responses.HistoryResult((HistoryEntry(0, 1, "x = 1"),))
        if isinstance(request, requests.SyncEnvironment):
            return responses.SyncEnvironmentComplete(("polars",))
        raise RuntimedError(f"the fake daemon knows no {type(request).__name__}")
