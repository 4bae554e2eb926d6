"""A client of one kernel, on Trio, over the channels that a connection file names.

It owns no process. One task reads each channel; that the kernel is gone is noticed by its ports,
for ZMQ itself never tells.
"""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Any

import trio
import zmq

from runtimed.errors import KernelDied, RemoteProtocolError
from runtimed.jupyter.connection_files import ConnectionInfo
from runtimed.jupyter.knocking import knock
from runtimed.kernels.zmq_stream import ZmqStream
from runtimed.messages.wire import Message, WireFormat

__all__ = ["JupyterClient", "Run", "open_client"]

#: Seconds between two looks whether the kernel is still there.
_LOOK = 0.5

#: Looks in a row that must find nobody. One may fall on the moment of a kernel's own restart.
_GONE = 2

#: Seconds until iopub is asked for again, and after which that is given up.
_NUDGE = 0.2
_JOIN_LIMIT = 3.0


class Run:
    """One execution: `async for message in run`, to its end.

    What comes are the messages of iopub that belong to it, and `input_request`s. It ends when the
    kernel has replied and is idle again, whichever comes later: only then nothing is outstanding.
    Raises while iterated: KernelDied.
    """

    def __init__(self, msg_id: str) -> None:
        self.msg_id = msg_id
        #: The content of the execute_reply, once the end has been reached.
        self.reply: Mapping[str, Any] = {}
        self._idle = False
        # Unbounded, as ZMQ's own queue is: who waited here would hold up the other runs.
        self._send, self._receive = trio.open_memory_channel[Message | KernelDied](math.inf)

    @property
    def ok(self) -> bool:
        return self.reply.get("status") == "ok"

    def hear(self, channel: str, message: Message) -> None:
        if channel == "shell":
            self.reply = message.content or {"status": "error"}
        elif message.msg_type == "status":
            self._idle = self._idle or message.content.get("execution_state") == "idle"
        else:
            self._send.send_nowait(message)
        if self._idle and self.reply:
            self._send.close()

    def fail(self, error: KernelDied) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            self._send.send_nowait(error)
            self._send.close()

    def __aiter__(self) -> Run:
        return self

    async def __anext__(self) -> Message:
        try:
            message = await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        if isinstance(message, KernelDied):
            raise message
        return message


class JupyterClient:
    """Talks to a kernel. Usable inside `open_client`."""

    def __init__(self, connection: ConnectionInfo) -> None:
        self.connection = connection
        #: Hears what belongs to no run that is under way: other clients' and, with True, what came
        #: late for one of ours. Must not block.
        self.on_other: Callable[[Message, bool], None] | None = None
        #: Hears everything, with the name of its channel, before anybody else does.
        self.trace: Callable[[str, Message], None] | None = None
        self._session = uuid.uuid4().hex
        self._wire = WireFormat(connection.key, session=self._session, username="runt")
        self._runs: dict[str, Run] = {}
        self._replies: dict[str, trio.MemorySendChannel[Message | KernelDied]] = {}
        self._iopub_seen = trio.Event()
        self._gone = trio.Event()

    @property
    def died(self) -> KernelDied:
        return KernelDied(f"The kernel {self.connection.kernel_id} has ended")

    async def wait_gone(self) -> None:
        """Wait until nobody listens any more."""
        await self._gone.wait()

    def execute(self, code: str, *, allow_stdin: bool = False, silent: bool = False) -> Run:
        """Have code run.

        Raises: KernelDied if the kernel is known to have ended.
        """
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": True,
        }
        msg_id = self._request(self._shell, "execute_request", content)
        run = self._runs[msg_id] = Run(msg_id)
        return run

    def leave(self, run: Run) -> None:
        """Hear no more of a run that was not followed to its end."""
        self._runs.pop(run.msg_id, None)

    async def request(self, msg_type: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask on the shell channel; the reply's content. The caller sets the time limit.

        Raises: KernelDied.
        """
        return await self._ask(self._shell, msg_type, content)

    async def control(self, msg_type: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask on the control channel, which is heard while a cell runs.

        Raises: KernelDied.
        """
        return await self._ask(self._control, msg_type, content)

    def answer_input(self, value: str) -> None:
        """Give the code that waits for input a line."""
        self._request(self._stdin, "input_reply", {"status": "ok", "value": value})

    async def _ask(
        self, stream: ZmqStream, msg_type: str, content: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        send, receive = trio.open_memory_channel[Message | KernelDied](1)
        msg_id = self._request(stream, msg_type, content)
        self._replies[msg_id] = send
        try:
            answer = await receive.receive()
        finally:
            del self._replies[msg_id]
        if isinstance(answer, KernelDied):
            raise answer
        return answer.content

    def _request(self, stream: ZmqStream, msg_type: str, content: Mapping[str, Any]) -> str:
        if self._gone.is_set():
            raise self.died
        now = datetime.now(timezone.utc).isoformat()
        msg_id, frames = self._wire.request(msg_type, content, now)
        stream.send(frames)
        return msg_id

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Read the channels. Started once the kernel's outputs are sure to come; runs until
        cancelled."""
        identity = self._session.encode()
        address = self.connection.address
        with zmq.Context() as context:
            if ":" in self.connection.ip and self.connection.transport == "tcp":
                context.setsockopt(zmq.IPV6, 1)
            with (
                ZmqStream(context, zmq.DEALER, address("shell"), identity) as self._shell,
                ZmqStream(context, zmq.SUB, address("iopub")) as self._iopub,
                ZmqStream(context, zmq.DEALER, address("stdin"), identity) as self._stdin,
                ZmqStream(context, zmq.DEALER, address("control")) as self._control,
            ):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read, "shell", self._shell)
                    nursery.start_soon(self._read, "iopub", self._iopub)
                    nursery.start_soon(self._read, "control", self._control)
                    nursery.start_soon(self._read_stdin)
                    nursery.start_soon(self._watch)
                    await self._join()
                    task_status.started()

    async def _join(self) -> None:
        """Wait until iopub is known to be connected: outputs from before would be lost.

        Whatever is asked makes a kernel say on iopub that it is busy; one that has a cell to run
        hears it on control only.
        """
        with trio.move_on_after(_JOIN_LIMIT):
            while not (self._iopub_seen.is_set() or self._gone.is_set()):
                for stream in (self._shell, self._control):
                    with contextlib.suppress(KernelDied):
                        self._request(stream, "kernel_info_request", {})
                with trio.move_on_after(_NUDGE):
                    await self._iopub_seen.wait()

    async def _watch(self) -> None:
        missed = 0
        while missed < _GONE:
            await trio.sleep(_LOOK)
            missed = missed + 1 if self._closed() else 0
        self._gone.set()
        for run in self._runs.values():
            run.fail(self.died)
        for reply in self._replies.values():
            with contextlib.suppress(trio.WouldBlock):
                reply.send_nowait(self.died)

    def _closed(self) -> bool:
        # On this machine it is answered at once; another one's silence is no answer.
        return [door for _, door in knock([self.connection], 0.0)] == ["closed"]

    async def _read(self, channel: str, stream: ZmqStream) -> None:
        while True:
            self._deliver(channel, await stream.receive())

    async def _read_stdin(self) -> None:
        while True:
            questions = await self._stdin.receive()
            # What was printed before the question is to be seen before it.
            self._deliver("iopub", self._iopub.receive_nowait())
            self._deliver("stdin", questions)

    def _deliver(self, channel: str, batch: list[list[bytes]]) -> None:
        for frames in batch:
            try:
                message = self._wire.parse(frames)
            except RemoteProtocolError:
                continue
            if channel == "iopub":
                self._iopub_seen.set()
            self._hear(channel, message)

    def _hear(self, channel: str, message: Message) -> None:
        if self.trace is not None:
            self.trace(channel, message)
        parent = message.parent_id
        if (reply := self._replies.get(parent)) is not None and channel in ("shell", "control"):
            with contextlib.suppress(trio.WouldBlock):
                reply.send_nowait(message)
        elif (run := self._runs.get(parent)) is not None:
            run.hear(channel, message)
            if run.reply and run._idle:
                del self._runs[parent]
        elif channel == "iopub" and self.on_other is not None:
            self.on_other(message, parent.startswith(self._session))


@asynccontextmanager
async def open_client(connection: ConnectionInfo) -> AsyncIterator[JupyterClient]:
    """A client for the length of a block, connected to all channels."""
    client = JupyterClient(connection)
    with_client = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with with_client:
            await client.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        # Who leaves the block because of a cancel may still have to interrupt what he started.
        with_client.shield = True
        try:
            yield client
        finally:
            with_client.cancel()
