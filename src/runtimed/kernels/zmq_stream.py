"""ZMQ sockets on Trio.

A ZMQ socket's file descriptor is edge-triggered and says only "look at me"; that, and nothing else,
is what this module hides. Everybody else receives batches of messages and sends without waiting.
"""

from __future__ import annotations

from types import TracebackType

import trio
import zmq

__all__ = ["ZmqStream"]

#: Messages in one batch. Bounds how long a flooding kernel keeps other tasks waiting.
_BATCH = 256


class ZmqStream:
    """One connected ZMQ socket. One task may receive while others send."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], kind: int, address: str) -> None:
        self._socket: zmq.Socket[bytes] = context.socket(kind)
        self._socket.linger = 0
        # A kernel that floods must lose nothing, so neither side of ours has a high-water mark.
        self._socket.rcvhwm = 0
        self._socket.sndhwm = 0
        # The kernel binds its ipc:// path some time after we connect; look for it often.
        self._socket.reconnect_ivl = 10
        self._socket.reconnect_ivl_max = 100
        if kind == zmq.SUB:
            self._socket.subscribe(b"")
        self._socket.connect(address)
        self._descriptor = int(self._socket.get(zmq.FD))
        self._wait: trio.CancelScope | None = None
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
        self._socket.send_multipart(frames, zmq.DONTWAIT)
        # Sending may have consumed the edge that a waiting receiver needs: make it look again.
        if self._wait is not None and self._readable():
            self._wait.cancel()

    async def receive(self) -> list[list[bytes]]:
        """Wait for messages; all that are there, oldest first, up to a bound."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if batch := self.receive_nowait():
            # A flood must not starve the others; and what is taken is delivered, cancelled or not.
            await trio.lowlevel.cancel_shielded_checkpoint()
            return batch
        while not batch:
            # No edge gets lost between this look at EVENTS and the wait: nothing runs in between.
            if not self._readable():
                with trio.CancelScope() as self._wait:
                    await trio.lowlevel.wait_readable(self._descriptor)
                self._wait = None
            batch = self.receive_nowait()
        return batch

    def receive_nowait(self) -> list[list[bytes]]:
        """The messages that are there now, up to a bound; possibly none."""
        batch: list[list[bytes]] = []
        try:
            while len(batch) < _BATCH:
                batch.append(self._socket.recv_multipart(zmq.DONTWAIT))
        except zmq.Again:
            pass
        self.received += len(batch)
        return batch

    def _readable(self) -> bool:
        return bool(int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN)
