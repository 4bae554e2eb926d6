"""One kernel process: its channels, its life and its end.

A Kernel knows nothing of cells. Whoever adopts it is told everything that the kernel says, in
order, by the task that reads the channel: a queue in between would cost a task switch for each
message. The process is asked to end, then terminated, then killed, whichever way this task is left.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import trio
import zmq

from runtimed.errors import KernelDied, KernelStartFailed, RemoteProtocolError
from runtimed.kernels.connection import ConnectionFile
from runtimed.kernels.launch import LaunchSpec
from runtimed.kernels.output_mark import MARK_REQUEST, OutputMark
from runtimed.kernels.zmq_stream import ZmqStream
from runtimed.messages.wire import Message, WireFormat

__all__ = ["ASK_GRACE", "TERMINATE_GRACE", "Hear", "Kernel", "describe_exit"]

log = logging.getLogger(__name__)

#: Seconds a kernel gets to end by itself, and then to end after SIGTERM.
ASK_GRACE = 1.5
TERMINATE_GRACE = 1.0

#: Seconds between two looks whether iopub is connected, once the shell has answered.
_NUDGE = 0.3

#: Seconds of silence after the process has exited that mean everything it sent has arrived.
_LAST_WORDS = 0.02

#: Bytes of the process's own stdout and stderr that are kept for error messages.
_TAIL = 8192

#: Seconds for the last of that to arrive once the process has exited.
_TAIL_LIMIT = 0.5


#: Takes a channel's name, `iopub`, `shell` or `stdin`, and a message; must not block.
Hear = Callable[[str, Message], None]


class _Reply:
    """A place where one awaited reply arrives."""

    def __init__(self) -> None:
        self._arrived = trio.Event()
        self._message: Message | None = None

    def put(self, message: Message | None) -> None:
        self._message = message
        self._arrived.set()

    async def wait(self) -> Message | None:
        await self._arrived.wait()
        return self._message


class Kernel:
    """A kernel process. Made with what to launch; usable once `run` has started."""

    def __init__(
        self,
        spec: LaunchSpec,
        connection: ConnectionFile,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        working_directory: Path,
    ) -> None:
        self.spec = spec
        self.pid = 0
        self.started = False
        self.last_busy = -math.inf  # when the kernel last said that it was at work
        self.language_info: dict[str, Any] = {}
        self._connection = connection
        self._context = context
        self._working_directory = working_directory
        self._wire = WireFormat(connection.key, session=connection.kernel_id)
        self._replies: dict[str, _Reply] = {}
        self._tail: deque[bytes] = deque()
        self._tail_ended = trio.Event()
        self._iopub_seen = trio.Event()
        self._stop = trio.Event()
        self._ended = trio.Event()
        self._exit_text: str | None = None
        self._hear: Hear | None = None
        self._late = OutputMark(self._ask_mark, self._tell) if spec.idle_early else None

    def __repr__(self) -> str:
        state = self._exit_text or ("running" if self.pid else "not started")
        return f"<Kernel {self.kernel_id} pid={self.pid} {state}>"

    @property
    def kernel_id(self) -> str:
        return self._connection.kernel_id

    @property
    def running(self) -> bool:
        return self.pid != 0 and self._exit_text is None

    @property
    def stop_requested(self) -> bool:
        return self._stop.is_set()

    @property
    def exit_text(self) -> str:
        """How the process ended, with the end of what it wrote itself; for people."""
        return self._exit_text or "The kernel is running"

    # ------------------------------------------------------------------ talking

    def attach(self, hear: Hear | None) -> None:
        """From now on `hear` gets everything the kernel says; with None nobody does."""
        self._hear = hear

    def execute(self, code: str, *, allow_stdin: bool = False) -> str:
        """Send an execute_request; the id that its messages will name as their parent.

        With `allow_stdin` the code may ask for input, on the channel of that name, and then waits
        for `reply_input`; without, asking is an error in the code.

        Raises: KernelDied if the kernel has ended.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            "stop_on_error": False,
        }
        return self._send(self._shell_stream(), "execute_request", content)

    def reply_input(self, value: str) -> None:
        """Give the code that waits for input a line.

        Raises: KernelDied if the kernel has ended.
        """
        if not self.running:
            raise KernelDied(self.exit_text)
        self._send(self._stdin, "input_reply", {"status": "ok", "value": value})

    def send_comm(self, content: Mapping[str, Any]) -> str:
        """Send a comm_msg of the daemon's own; the id that its messages will name as their parent.

        Raises: KernelDied if the kernel has ended.
        """
        return self._send(self._shell_stream(), "comm_msg", content)

    def forward(
        self,
        header: Mapping[str, Any],
        content: Mapping[str, Any],
        metadata: Mapping[str, Any],
        buffers: Sequence[bytes],
    ) -> None:
        """Pass a front end's widget message on to the shell channel, under its own header.

        Raises: KernelDied if the kernel has ended.
        """
        frames = self._wire.forward(dict(header), content, metadata, buffers)
        self._shell_stream().send(frames)

    async def request(self, msg_type: str, content: Mapping[str, Any]) -> Message:
        """Ask on the shell channel and wait for the reply; the caller sets the time limit.

        Raises: KernelDied if the kernel ends before it replies.
        """
        msg_id = self._send(self._shell_stream(), msg_type, content)
        reply = self._replies[msg_id] = _Reply()
        try:
            message = await reply.wait()
        finally:
            del self._replies[msg_id]
        if message is None:
            raise KernelDied(self.exit_text)
        return message

    async def run_silently(self, code: str) -> Message:
        """Run code that leaves no trace in history, count or outputs; its execute_reply."""
        content = {
            "code": code,
            "silent": True,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return await self.request("execute_request", content)

    def interrupt(self) -> None:
        """Stop what runs: by SIGINT to the process and its children, as Ctrl-C in a terminal would,
        or by a message if that would end the kernel."""
        if self.spec.interrupt == "message":
            if self.running:
                self._send(self._control, "interrupt_request", {})
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)

    def interrupt_later(self, seconds: float, still_wanted: Callable[[], bool]) -> None:
        """Interrupt after a while, if that is still wanted then."""

        async def wait() -> None:
            await trio.sleep(seconds)
            if still_wanted():
                self.interrupt()

        if self.running:
            self._channels.start_soon(wait)

    def stop(self) -> None:
        """Ask the kernel to end. Await `wait_ended` for the end."""
        self._stop.set()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    def _shell_stream(self) -> ZmqStream:
        if not self.running:
            raise KernelDied(self.exit_text)
        return self._shell

    def _send(self, stream: ZmqStream, msg_type: str, content: Any) -> str:
        now = datetime.now(timezone.utc).isoformat()
        msg_id, frames = self._wire.request(msg_type, content, now)
        stream.send(frames)
        return msg_id

    # ------------------------------------------------------------------ living

    async def run(
        self,
        *,
        on_process: Callable[[int], None] = lambda pid: None,
        task_status: trio.TaskStatus[Kernel] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the process. Started with self once the kernel has answered; returns when the
        process has ended, by itself or asked by `stop`. `on_process` hears its pid at once.

        Cancelling: the kernel is asked, terminated, killed; no process of its session is left.
        Raises: KernelStartFailed, before it has started, with the end of what the process wrote.
        """
        failure: KernelStartFailed | None = None
        try:
            with (
                self._connect(zmq.DEALER, "shell") as shell,
                self._connect(zmq.SUB, "iopub") as iopub,
                self._connect(zmq.DEALER, "control") as control,
                self._connect(zmq.DEALER, "stdin") as stdin,
            ):
                self._shell = shell
                self._stdin = stdin
                self._control = control
                process = await self._open_process()
                try:
                    on_process(process.pid)
                    async with trio.open_nursery() as channels:
                        self._channels = channels
                        channels.start_soon(self._keep_tail, process)
                        channels.start_soon(self._read, "shell", shell)
                        channels.start_soon(self._read, "iopub", iopub)
                        channels.start_soon(self._read, "control", control)
                        channels.start_soon(self._read_stdin, stdin, iopub)
                        channels.start_soon(self._end_when_asked, process, control)
                        if self._late is not None:
                            channels.start_soon(self._late.run)
                        failure = await self._start(process)
                        if failure is None:
                            self.started = True
                            task_status.started(self)
                            await process.wait()
                            await self._last_words(iopub)
                        channels.cancel_scope.cancel()
                finally:
                    await _ask_then_kill(process, partial(self._ask, control))
                    self._note_exit(process)
        finally:
            self._exit_text = self._exit_text or "The kernel did not start"
            for reply in self._replies.values():
                reply.put(None)
            self._connection.remove()
            self._ended.set()
        if failure is not None:
            raise failure

    def _connect(self, kind: int, channel: str) -> ZmqStream:
        # The kernel asks whoever made the request for input, by the identity it came from.
        identity = self.kernel_id.encode() if channel in ("shell", "stdin") else b""
        return ZmqStream(self._context, kind, self._connection.address(channel), identity)

    async def _open_process(self) -> trio.Process:
        argv = [
            str(self._connection.path) if word == "{connection_file}" else word
            for word in self.spec.argv
        ]
        try:
            process: trio.Process = await trio.lowlevel.open_process(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._working_directory,
                env=dict(self.spec.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise KernelStartFailed(f"{argv[0]} can't be run: {error}") from error
        self.pid = process.pid
        return process

    async def _start(self, process: trio.Process) -> KernelStartFailed | None:
        """Race the kernel's first answer against its exit and the time limit."""
        complaint = None
        async with trio.open_nursery() as race:

            async def watch_exit() -> None:
                nonlocal complaint
                await process.wait()
                # The reason is in the pipe: read it to its end, which a child may hold open.
                with trio.move_on_after(_TAIL_LIMIT):
                    await self._tail_ended.wait()
                complaint = describe_exit(process.returncode, self._tail_text())
                race.cancel_scope.cancel()

            race.start_soon(watch_exit)
            with trio.move_on_after(self.spec.start_limit) as limit:
                complaint = await self._wait_answer()
            if limit.cancelled_caught:
                complaint = f"Kernel did not respond within {self.spec.start_limit:g}s"
                complaint += _indented(self._tail_text())
            race.cancel_scope.cancel()
        return None if complaint is None else KernelStartFailed(complaint)

    async def _wait_answer(self) -> str | None:
        """Wait until the shell has answered and iopub is known to be connected, and what is to run
        first has run; what went wrong with that."""
        while True:
            info = (await self.request("kernel_info_request", {})).content
            self.language_info = info.get("language_info") or {}
            with trio.move_on_after(_NUDGE):
                await self._iopub_seen.wait()
                break
        if not self.spec.first:
            return None
        reply = (await self.run_silently(self.spec.first)).content
        if reply.get("status") == "ok":
            return None
        return f"Kernel could not be prepared: {reply.get('ename')}: {reply.get('evalue')}"

    async def _read(self, channel: str, stream: ZmqStream) -> None:
        while True:
            self._deliver(channel, await stream.receive())

    async def _read_stdin(self, stdin: ZmqStream, iopub: ZmqStream) -> None:
        while True:
            questions = await stdin.receive()
            # What was printed before the question is to be seen before it.
            self._deliver("iopub", iopub.receive_nowait())
            self._deliver("stdin", questions)

    def _deliver(self, channel: str, batch: list[list[bytes]]) -> None:
        for frames in batch:
            try:
                message = self._wire.parse(frames)
            except RemoteProtocolError as error:
                log.warning("kernel message dropped kernel=%s error=%s", self.kernel_id, error)
                continue
            if channel == "iopub":
                self._iopub_seen.set()
                if message.msg_type == "status":
                    self.last_busy = trio.current_time()
            elif (reply := self._replies.get(message.parent_id)) is not None:
                reply.put(message)
                continue
            if self._late is not None:
                self._late.hear(channel, message)
            elif self._hear is not None:
                self._hear(channel, message)

    def _ask_mark(self) -> str:
        return self._send(self._shell, "complete_request", MARK_REQUEST)

    def _tell(self, channel: str, message: Message) -> None:
        if self._hear is not None:
            self._hear(channel, message)

    async def _last_words(self, iopub: ZmqStream) -> None:
        """Wait until what the process sent before it exited has been delivered."""
        received = -1
        while iopub.received != received:
            received = iopub.received
            await trio.sleep(_LAST_WORDS)

    async def _keep_tail(self, process: trio.Process) -> None:
        """Drain what the process itself writes, keeping the end of it."""
        assert process.stdout is not None
        size = 0
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for piece in process.stdout:
                self._tail.append(bytes(piece[-_TAIL:]))
                size += len(self._tail[-1])
                while size - len(self._tail[0]) >= _TAIL:
                    size -= len(self._tail.popleft())
        self._tail_ended.set()

    def _tail_text(self) -> str:
        return b"".join(self._tail)[-_TAIL:].decode("utf-8", "replace").strip()

    async def _end_when_asked(self, process: trio.Process, control: ZmqStream) -> None:
        await self._stop.wait()
        await _ask_then_kill(process, partial(self._ask, control))

    def _ask(self, control: ZmqStream) -> None:
        self._send(control, "shutdown_request", {"restart": False})

    def _note_exit(self, process: trio.Process) -> None:
        if self._stop.is_set():
            self._exit_text = "The kernel was shut down"
        else:
            self._exit_text = describe_exit(process.returncode, self._tail_text())


async def _ask_then_kill(process: trio.Process, ask: Callable[[], None]) -> None:
    """End a process and its session: ask, terminate, kill. Shielded; returns when it has exited.

    Bounded by ASK_GRACE and TERMINATE_GRACE, since nothing survives SIGKILL.
    """
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            ask()
            with trio.move_on_after(ASK_GRACE):
                await process.wait()
        if process.returncode is None:
            _signal_session(process.pid, signal.SIGTERM)
            with trio.move_on_after(TERMINATE_GRACE):
                await process.wait()
        # Also when the kernel has exited: what it forked may still be there.
        _signal_session(process.pid, signal.SIGKILL)
        await process.wait()
        if process.stdout is not None:
            await process.stdout.aclose()


def _signal_session(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def describe_exit(returncode: int | None, tail: str) -> str:
    """How a kernel's process ended, with the end of what it wrote; for people."""
    if returncode is not None and returncode < 0:
        try:
            how = f"was killed by {signal.Signals(-returncode).name}"
        except ValueError:
            how = f"was killed by signal {-returncode}"
    else:
        how = f"exited with code {returncode}"
    return f"The kernel process {how}" + _indented(tail)


def _indented(tail: str) -> str:
    lines = tail.splitlines()[-20:]
    return ":\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
