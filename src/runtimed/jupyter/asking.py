"""Asking many kernels at the same time how they are, over ZMQ and without an event loop.

Heartbeat and kernel_info_request go out together. A kernel whose shell keeps silent is asked on the
control channel, too, since one that runs a cell answers only there. Trio is not used because its
import alone takes longer than `runt ps` may.
"""

from __future__ import annotations

import contextlib
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import attrs
import zmq

from runtimed.errors import RemoteProtocolError
from runtimed.jupyter.connection_files import ConnectionInfo
from runtimed.jupyter.knocking import sockets_at_once
from runtimed.messages.wire import WireFormat

__all__ = ["Answer", "ask"]

#: Seconds of silence on the shell after which control is asked.
_SHELL_PATIENCE = 0.1

#: Descriptors: three sockets, each with a mailbox and a connection.
_DESCRIPTORS = 6


@attrs.frozen
class Answer:
    """What a kernel said. `shell` and `heartbeat`: whether it answered there; `info`: the content
    of its kernel_info_reply, wherever it came from."""

    heartbeat: bool = False
    shell: bool = False
    info: Mapping[str, Any] | None = None


def ask(
    kernels: Sequence[ConnectionInfo], deadline: float
) -> Iterator[tuple[ConnectionInfo, Answer]]:
    """Ask all; those whose turn has not come at the deadline are left out. Blocks.

    Units: deadline by `time.monotonic`.
    """
    size = sockets_at_once(_DESCRIPTORS)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 3 * size + 16)
    try:
        for start in range(0, len(kernels), size):
            if start and time.monotonic() >= deadline:
                return
            batch = [_Question(context, kernel) for kernel in kernels[start : start + size]]
            _ask_together(batch, deadline)
            for question in batch:
                yield question.kernel, question.answer
                question.close()
    finally:
        context.destroy(linger=0)


def _ask_together(questions: Sequence[_Question], deadline: float) -> None:
    poller = zmq.Poller()
    owners: dict[zmq.Socket[bytes], _Question] = {}

    def watch(question: _Question, sock: zmq.Socket[bytes]) -> None:
        owners[sock] = question
        poller.register(sock, zmq.POLLIN)

    for question in questions:
        watch(question, question.hb)
        watch(question, question.shell)
    control_due = time.monotonic() + _SHELL_PATIENCE
    waiting = set(questions)
    while waiting and (now := time.monotonic()) < deadline:
        if now >= control_due:
            control_due = deadline
            for question in waiting:
                watch(question, question.ask_control())
        until = min(control_due, deadline)
        for sock, _ in poller.poll(math.ceil(max(until - now, 0.0) * 1000)):
            question = owners[sock]
            question.hear(sock)
            if question.answer.info is not None:
                waiting.discard(question)


class _Question:
    """One kernel that is asked."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], kernel: ConnectionInfo) -> None:
        self.kernel = kernel
        self.answer = Answer()
        self._context = context
        self._wire = WireFormat(kernel.key, session=uuid.uuid4().hex)
        self.hb = self._connect(zmq.REQ, "hb")
        self.shell = self._connect(zmq.DEALER, "shell")
        self._control: zmq.Socket[bytes] | None = None
        self.hb.send(b"ping", zmq.DONTWAIT)
        self._request(self.shell)

    def ask_control(self) -> zmq.Socket[bytes]:
        self._control = self._connect(zmq.DEALER, "control")
        self._request(self._control)
        return self._control

    def hear(self, sock: zmq.Socket[bytes]) -> None:
        with contextlib.suppress(zmq.ZMQError):
            frames = sock.recv_multipart(zmq.DONTWAIT)
            if sock is self.hb:
                self.answer = attrs.evolve(self.answer, heartbeat=True)
                return
            with contextlib.suppress(RemoteProtocolError):
                message = self._wire.parse(frames)
                if message.msg_type == "kernel_info_reply":
                    shell = sock is self.shell
                    self.answer = attrs.evolve(self.answer, shell=shell, info=message.content)

    def close(self) -> None:
        for sock in (self.hb, self.shell, self._control):
            if sock is not None:
                sock.close(linger=0)

    def _connect(self, kind: int, channel: str) -> zmq.Socket[bytes]:
        sock = self._context.socket(kind)
        sock.set(zmq.LINGER, 0)
        if ":" in self.kernel.ip and self.kernel.transport == "tcp":
            sock.set(zmq.IPV6, 1)
        sock.connect(self.kernel.address(channel))
        return sock

    def _request(self, sock: zmq.Socket[bytes]) -> None:
        now = datetime.now(timezone.utc).isoformat()
        sock.send_multipart(self._wire.request("kernel_info_request", {}, now)[1], zmq.DONTWAIT)
