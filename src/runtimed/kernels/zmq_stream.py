"""ZMQ sockets on Trio.

A ZMQ socket's file descriptor is edge-triggered and says only "look at me"; that, and nothing else,
is what this module hides. Everybody else receives batches of messages and sends without waiting.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import trio
import zmq
import zmq.backend

__all__ = ["ZmqStream"]

# As plain integers: what the library's enumerations cost is most of a small message's price.
_DONTWAIT, _SNDMORE, _EVENTS, _POLLIN = map(
    int, (zmq.DONTWAIT, zmq.SNDMORE, zmq.EVENTS, zmq.POLLIN)
)

#: Messages in one batch. Bounds how long a flooding kernel keeps other tasks waiting.
_BATCH = 256


class ZmqStream:
    """One connected ZMQ socket. One task may receive while others send."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        kind: int,
        address: str,
        identity: bytes = b"",
    ) -> None:
        # The bare socket, without the conveniences that cost more than the work itself.
        self._socket = zmq.backend.Socket(context, kind)
        self._socket.set(zmq.LINGER, 0)
        # A kernel that floods must lose nothing, so neither side of ours has a high-water mark.
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.set(zmq.SNDHWM, 0)
        # The kernel binds its ipc:// path some time after we connect; look for it often.
        self._socket.set(zmq.RECONNECT_IVL, 10)
        self._socket.set(zmq.RECONNECT_IVL_MAX, 100)
        if kind == zmq.SUB:
            self._socket.set(zmq.SUBSCRIBE, b"")
        if identity:
            self._socket.set(zmq.ROUTING_ID, identity)
        self._socket.connect(address)
        self._descriptor = int(self._socket.get(zmq.FD))
        self._sends = kind != zmq.SUB
        self._wait: trio.CancelScope | None = None
        self._empty = False  # at the last look, and the socket has not been touched since
        #: Messages received so far.
        self.received = 0

    def __enter__(self) -> ZmqStream:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, frames: list[bytes]) -> None:
        """Hand a message to ZMQ, which queues it without bound until the kernel takes it."""
        for frame in frames[:-1]:
            self._socket.send(frame, _DONTWAIT | _SNDMORE)
        self._socket.send(frames[-1], _DONTWAIT)
        self._empty = False
        # Sending may have consumed the edge that a waiting receiver needs: make it look again.
        if self._wait is not None and self._readable():
            self._wait.cancel()

    async def receive(self) -> list[list[bytes]]:
        """Wait for messages; all that are there, oldest first, up to a bound."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._empty and (batch := self.receive_nowait()):
            # A flood must not starve the others; and what is taken is delivered, cancelled or not.
            await trio.lowlevel.cancel_shielded_checkpoint()
            return batch
        # No edge gets lost between the last look at EVENTS and the wait: nothing touches the socket
        # in between. What comes meanwhile makes the descriptor readable.
        while True:
            await self._wait_readable()
            if batch := self.receive_nowait():
                return batch

    async def _wait_readable(self) -> None:
        if not self._sends:  # then nothing but a message can be what is waited for
            await trio.lowlevel.wait_readable(self._descriptor)
            return
        with trio.CancelScope() as self._wait:
            await trio.lowlevel.wait_readable(self._descriptor)
        self._wait = None

    def receive_nowait(self) -> list[list[bytes]]:
        """The messages that are there now, up to a bound; possibly none."""
        batch: list[list[bytes]] = []
        self._empty = False
        while len(batch) < _BATCH:
            if not self._readable():
                self._empty = True
                break
            batch.append(self._receive_one())
        self.received += len(batch)
        return batch

    def _receive_one(self) -> list[bytes]:
        frames = []
        while True:
            frame = self._socket.recv(_DONTWAIT, copy=False)
            frames.append(frame.bytes)
            if not frame.more:
                return frames

    def _readable(self) -> bool:
        events: Any = self._socket.get(_EVENTS)
        return bool(events & _POLLIN)
