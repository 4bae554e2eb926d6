"""The daemon's edges and rooms without sockets and processes: memory streams in front, pretended
kernels behind, a real disk below. Time is the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import trio
import trio.testing

from runtimed.blobs.store import BlobStore
from runtimed.daemon.notebook_channel import Greeting
from runtimed.daemon.pool_channel import PoolService
from runtimed.daemon.server import ConnectionHandler
from runtimed.document.history import HistoryBounds
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.wanted import Choice
from runtimed.errors import KernelDied, RuntimedError
from runtimed.kernels.kernel import Hear
from runtimed.messages.wire import Message
from runtimed.protocol import pool
from runtimed.rooms.room import RoomConfig
from runtimed.rooms.rooms import Rooms
from runtimed.settings.store import SettingsStore
from wire_peer import WirePeer

__all__ = ["FakeKernel", "FakeKernels", "Loopback", "open_loopback"]

Pair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]


class FakeKernel:
    """A kernel that prints what stands behind the word `print`, raises at `raise`, and at `wait`
    is busy until `finish`. At `ask` it asks for input, if it may, and prints what it gets.
    Everything else it does in silence. Of comms it knows nothing: `forwarded` and `sent` have what
    it was sent, in order."""

    def __init__(self, number: int) -> None:
        self.kernel_id = f"kernel-{number}"
        self.pid = 4_000_000 + number  # no process has such an id
        self.spec = SimpleNamespace(kernel_type="python", environment=None, notes=())
        self.language_info = {"name": "python"}
        self.running = True
        self.stop_requested = False
        self.exit_text = "The kernel is running"
        self.executed: list[str] = []
        self.interrupts = 0
        self.forwarded: list[tuple[Any, Any, list[bytes]]] = []
        self.sent: list[dict[str, Any]] = []
        self.inputs: list[str] = []
        self._hear: Hear | None = None
        self._busy: str | None = None
        self._questions = 0
        self._ended = trio.Event()

    def attach(self, hear: Hear | None) -> None:
        self._hear = hear

    def execute(self, code: str, *, allow_stdin: bool = False) -> str:
        if not self.running:
            raise KernelDied(self.exit_text)
        self.executed.append(code)
        msg_id = f"{self.kernel_id}-{len(self.executed)}"
        self.say(msg_id, "execute_input", {"code": code, "execution_count": len(self.executed)})
        word, _, text = code.partition(" ")
        if word == "wait":
            self._busy = msg_id
        elif word == "ask" and allow_stdin:
            self._busy = msg_id
            self.ask(text)
        else:
            if word == "print":
                self.say(msg_id, "stream", {"name": "stdout", "text": text})
            if word in ("raise", "ask"):
                content = {"ename": "Error", "evalue": text, "traceback": []}
                self.say(msg_id, "error", content)
            self._conclude(msg_id, "ok" if word not in ("raise", "ask") else "error")
        return msg_id

    def print_more(self, text: str) -> None:
        """Let the busy cell print."""
        assert self._busy is not None
        self.say(self._busy, "stream", {"name": "stdout", "text": text})

    def ask(self, prompt: str) -> None:
        """Let the busy cell ask for input."""
        assert self._busy is not None
        self._questions += 1
        content = {"prompt": prompt, "password": False}
        self._deliver("stdin", self._busy, "input_request", content, f"input-{self._questions}")

    def reply_input(self, value: str) -> None:
        self.inputs.append(value)
        if self._busy is not None:
            self.print_more(value)
            self.finish()

    def finish(self, status: str = "ok") -> None:
        """End the busy cell."""
        assert self._busy is not None
        self._conclude(self._busy, status)
        self._busy = None

    def say(
        self,
        msg_id: str,
        msg_type: str,
        content: dict[str, Any],
        buffers: Sequence[bytes] = (),
    ) -> None:
        self._deliver("iopub", msg_id, msg_type, content, buffers=buffers)

    def interrupt(self) -> None:
        self.interrupts += 1
        if self._busy is not None:
            self.finish("error")

    def interrupt_later(self, seconds: float, still_wanted: Callable[[], bool]) -> None:
        self.interrupt()

    def die(self, reason: str = "The kernel process was killed by SIGKILL") -> None:
        self._end(reason)

    def stop(self) -> None:
        self.stop_requested = True
        self._end("The kernel was shut down")

    async def wait_ended(self) -> None:
        await self._ended.wait()

    async def request(self, msg_type: str, content: Any) -> Message:
        await trio.lowlevel.checkpoint()
        return Message(msg_type, "", "", {}, {}, ())

    def forward(self, header: Any, content: Any, metadata: Any, buffers: list[bytes]) -> None:
        self.forwarded.append((header, content, buffers))

    def send_comm(self, content: dict[str, Any]) -> str:
        """As in a kernel at work, what is sent waits; `handle_sent` has it handled."""
        self.sent.append(content)
        return f"{self.kernel_id}-sent-{len(self.sent)}"

    def handle_sent(self) -> None:
        """Echo the newest message of the daemon's own, as a kernel's widgets do, and be idle."""
        content = self.sent[-1]
        msg_id = f"{self.kernel_id}-sent-{len(self.sent)}"
        data = {**content["data"], "method": "echo_update"}
        self.say(msg_id, "comm_msg", {**content, "data": data})
        self.say(msg_id, "status", {"execution_state": "idle"})

    def _conclude(self, msg_id: str, status: str) -> None:
        self.say(msg_id, "status", {"execution_state": "idle"})
        self._deliver("shell", msg_id, "execute_reply", {"status": status})

    def _deliver(
        self,
        channel: str,
        parent: str,
        msg_type: str,
        content: dict[str, Any],
        msg_id: str = "",
        buffers: Sequence[bytes] = (),
    ) -> None:
        message = Message(msg_type, msg_id, parent, content, {}, buffers)
        # Never before the call that causes it has returned, as with a kernel in another process.
        trio.lowlevel.current_trio_token().run_sync_soon(self._be_heard, channel, message)

    def _be_heard(self, channel: str, message: Message) -> None:
        if self._hear is not None:
            self._hear(channel, message)

    def _end(self, reason: str) -> None:
        if self.running:
            self.running = False
            self.exit_text = reason
            # Behind what it has said.
            trio.lowlevel.current_trio_token().run_sync_soon(self._ended.set)


class FakeKernels:
    """Launches pretended kernels; `hold` makes launches wait, `refuse` makes them fail.

    `phases` are reported before, each after some seconds.
    """

    def __init__(self) -> None:
        self.launched: list[FakeKernel] = []
        self.choices: list[Choice] = []
        self.folders: list[Path] = []
        self.phases: list[tuple[float, Any]] = []
        self.hold: trio.Event | None = None
        self.refuse: str | None = None
        self.warm_count = 0
        self.warm_target = 0
        self.warm: list[pool.WarmKernel] = []

    def list_warm(self) -> list[pool.WarmKernel]:
        return self.warm

    async def launch(self, choice: Choice, folder: Path, progress: Any) -> FakeKernel:
        await trio.lowlevel.checkpoint()
        self.choices.append(choice)
        self.folders.append(folder)
        for seconds, phase in self.phases:
            await trio.sleep(seconds)
            progress(phase)
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            raise RuntimedError(self.refuse)
        kernel = FakeKernel(len(self.launched) + 1)
        self.launched.append(kernel)
        return kernel

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()


class _EmptyPool:
    """An environment pool with nothing in it."""

    def status(self) -> Any:
        return SimpleNamespace(available=0, warming=0, target=0, error=None)

    def take_nowait(self) -> Any:
        return None

    def discard(self, environment: Any) -> bool:
        return False

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_changed(self, seen: int) -> int:
        if seen:
            await trio.sleep_forever()
        return 1


@attrs.define
class Loopback:
    """What `open_loopback` gives."""

    rooms: Rooms
    blobs: BlobStore
    kernels: FakeKernels
    settings: SettingsStore
    shutdown: trio.Event
    handler: ConnectionHandler
    _nursery: trio.Nursery

    def connect_raw(self, pair: Pair = trio.testing.memory_stream_pair) -> trio.abc.Stream:
        """A stream whose other end the daemon serves."""
        ours, theirs = pair()
        self._nursery.start_soon(self.handler, theirs)
        return ours

    def connect(self, pair: Pair = trio.testing.memory_stream_pair) -> WirePeer:
        return WirePeer(self.connect_raw(pair))

    async def join(self, notebook_id: str) -> WirePeer:
        """A peer in a room, in step with it."""
        peer = self.connect()
        await peer.join(notebook_id)
        return peer

    def listed(self) -> dict[str, pool.RoomInfo]:
        return {room.notebook_id: room for room in self.rooms.list_rooms()}


@asynccontextmanager
async def open_loopback(
    folder: Path,
    keep_alive: float | None = 30.0,
    history: HistoryBounds | None = None,
    *,
    autosave: bool = True,
) -> AsyncIterator[Loopback]:
    """Services and edges over one folder. On leaving, everything ends in the daemon's order."""
    store = BlobStore(folder / "blobs")
    kernels: Any = FakeKernels()
    settings = SettingsStore(folder / "settings.automerge", folder / "config")
    config = RoomConfig(
        folder / "documents",
        folder / "notebooks",
        keep_alive,
        lambda: attrs.evolve(settings.current, autosave=autosave),
        history or HistoryBounds(),
        trust=TrustFiles.below(folder / "trust"),
    )
    rooms = Rooms(config, store, kernels)
    shutdown = trio.Event()
    empty: Any = _EmptyPool()
    service = PoolService({"uv": empty, "conda": empty}, kernels, rooms, shutdown)
    greeting = Greeting("0", 1, str(folder / "blobs"), lambda: settings.current)
    handler = ConnectionHandler(service, store, greeting, settings)
    (folder / "documents").mkdir(exist_ok=True)
    async with trio.open_nursery() as services:
        await services.start(settings.run)
        await services.start(store.run)
        async with trio.open_nursery() as room_tasks:
            await room_tasks.start(rooms.run)
            async with trio.open_nursery() as edges:
                yield Loopback(rooms, store, kernels, settings, shutdown, handler, edges)
                edges.cancel_scope.cancel()
            room_tasks.cancel_scope.cancel()
        services.cancel_scope.cancel()
