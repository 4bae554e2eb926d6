"""The widgets of a room: what the kernel and the peers say on comms, and what the others hear.

The state is Comms' (messages/comms.py). Here it is said who hears what: everybody hears the kernel,
in order; the kernel hears every peer; the other peers hear what a peer does to the state. The
daemon also plays the front end's part for Output widgets: what they capture becomes their state,
and the kernel is told, so that `out.outputs` in a program holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from runtimed.errors import KernelDied, RuntimedError
from runtimed.kernels.kernel import Kernel
from runtimed.messages.comms import COMM_MESSAGES, Comms
from runtimed.messages.wire import Message
from runtimed.protocol import broadcasts
from runtimed.protocol.connection import encode_broadcast
from runtimed.protocol.structures import CommSnapshot
from runtimed.rooms.peer import Peer

__all__ = ["CommPeers", "Widgets"]

log = logging.getLogger(__name__)

#: The target of comms that are widgets. What else a peer opens is between it and the kernel.
_WIDGET = "jupyter.widget"

#: Bytes of one comm_sync message, roughly; what is more goes into further ones.
_SYNC_SIZE = 8 * 1024 * 1024

#: Bytes on the wire for each byte of a buffer, which is an array of integers there.
_BUFFER_COST = 4

#: Bytes of one comm for which there is no hope of a place in a frame.
_COMM_LIMIT = 90 * 1024 * 1024


class CommPeers(Protocol):
    """What widgets need of a room: a way to its peers."""

    def broadcast_comm(
        self, message: broadcasts.Comm | broadcasts.CommSync, *, but: Peer | None = None
    ) -> None: ...


class Widgets:
    """The widgets of whatever kernel a room has."""

    def __init__(self, room: CommPeers) -> None:
        self._room = room
        self.comms = Comms()
        #: By the id of a message: the comms that capture its outputs. Empty nearly always.
        self.captures = self.comms.captures
        self._kernel: Kernel | None = None
        self._unsent: dict[str, None] = {}  # Output widgets of which the kernel lacks something
        self._under_way: dict[str, str] = {}  # our messages that it has not handled yet: comms

    def attach(self, kernel: Kernel) -> None:
        """A kernel has come. It has no widgets yet."""
        self.detach()
        self._kernel = kernel

    def detach(self) -> None:
        """The kernel is gone, and its widgets with it."""
        self._kernel = None
        self._unsent.clear()
        self._under_way.clear()
        if len(self.comms):
            self.comms.clear()
            self._room.broadcast_comm(broadcasts.CommSync(comms=[]))

    def frames(self) -> list[bytes]:
        """The widgets as they are, for a peer that knows nothing of them."""
        return [encode_broadcast(message) for message in _sync_messages(self.comms.snapshots())]

    # ------------------------------------------------------------------ what the kernel says

    def hear(self, message: Message) -> None:
        """A message of the kernel that belongs to no cell, or a comm message of one that does."""
        if message.msg_type in COMM_MESSAGES:
            self._comm(message)
        elif message.msg_type == "status" and message.content.get("execution_state") == "idle":
            comm_id = self._under_way.pop(message.parent_id, "")
            if comm_id in self._unsent:
                self._send_outputs(comm_id)

    def _comm(self, message: Message) -> None:
        content = message.content
        data = content.get("data")
        method = data.get("method") if isinstance(data, dict) else None
        if message.parent_id in self._under_way and method == "echo_update":
            return  # of outputs that everybody has seen; meanwhile there may be more
        try:
            self.comms.apply(message.msg_type, content, message.buffers)
        except ValueError as error:
            log.warning("widget state left out reason=%s", error)
        if method == "update" and content.get("comm_id") in self._under_way.values():
            # The kernel will handle what we sent after what it said here: it must hear again.
            self._unsent[content["comm_id"]] = None
        self._room.broadcast_comm(
            broadcasts.Comm(message.msg_type, content, buffers=message.buffers)
        )

    def capture(self, message: Message) -> bool:
        """Give an output to the widget that captures it; False if it is the cell's."""
        comm_id = self.comms.captured_by(message.parent_id, message.msg_type)
        if comm_id is None:
            return False
        for content in self.comms.capture(comm_id, message.msg_type, message.content):
            self._room.broadcast_comm(broadcasts.Comm("comm_msg", content))
        self._unsent[comm_id] = None
        if comm_id not in self._under_way.values():
            self._send_outputs(comm_id)
        return True

    def send_outputs(self) -> None:
        """Tell the kernel now what widgets have captured, because code is about to run in it."""
        for comm_id in list(self._unsent):
            self._send_outputs(comm_id)

    def _send_outputs(self, comm_id: str) -> None:
        # The whole list, as the trait wants it; but only one message waits for the kernel, so a
        # cell that captures a thousand outputs costs two messages and not a thousand.
        del self._unsent[comm_id]
        outputs = self.comms.captured_outputs(comm_id)
        if outputs is None or self._kernel is None:
            return
        update = {"method": "update", "state": {"outputs": outputs}, "buffer_paths": []}
        try:
            msg_id = self._kernel.send_comm({"comm_id": comm_id, "data": update})
        except (KernelDied, TypeError) as error:
            log.warning("captured outputs not sent to the kernel reason=%s", error)
        else:
            self._under_way[msg_id] = comm_id

    # ------------------------------------------------------------------ what peers say

    def hear_peer(self, peer: Peer, message: Mapping[str, Any]) -> None:
        """A peer's comm message: for the kernel, for the state, and for the other peers.

        These hear what changes the state. A custom message is for the kernel alone: they would
        take it for one of the kernel's.
        Raises: RuntimedError for what is no comm message.
        """
        assert self._kernel is not None, "the caller has looked"
        try:
            header, content, buffers = _checked(message)
            self.comms.check(content, buffers)
            self._kernel.forward(header, content, message.get("metadata") or {}, buffers)
            msg_type = str(header.get("msg_type"))
            self.comms.apply(msg_type, content, buffers)
        except (KernelDied, TypeError, ValueError) as error:
            raise RuntimedError(f"Failed to send comm message: {error}") from error
        if self._concerns_others(msg_type, content):
            self._room.broadcast_comm(
                broadcasts.Comm(msg_type, dict(content), buffers=buffers), but=peer
            )

    def _concerns_others(self, msg_type: str, content: Mapping[str, Any]) -> bool:
        if msg_type == "comm_open":
            return content.get("target_name") == _WIDGET
        if msg_type == "comm_msg":
            data = content.get("data")
            is_update = isinstance(data, dict) and data.get("method") == "update"
            return is_update and content.get("comm_id") in self.comms
        return msg_type == "comm_close"


def _checked(message: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
    for part in ("header", "content"):
        if part not in message:
            raise ValueError(f"Missing {part} in comm message")
        if not isinstance(message[part], dict):
            raise ValueError(f"The {part} of a comm message must be an object")
    content = message["content"]
    buffers = message.get("buffers") or []
    if not isinstance(buffers, list) or not all(isinstance(item, list) for item in buffers):
        raise ValueError("buffers must be arrays of integers from 0 to 255")
    return message["header"], content, [bytes(buffer) for buffer in buffers]


def _sync_messages(snapshots: list[CommSnapshot]) -> list[broadcasts.CommSync]:
    """What brings a peer up to date: one message, or several where one would be too large."""
    messages: list[broadcasts.CommSync] = []
    batch: list[CommSnapshot] = []
    room_left: float = _SYNC_SIZE
    for snapshot in snapshots:
        size = _size(snapshot)
        if size > _COMM_LIMIT:
            log.warning("widget left out of a snapshot comm=%s", snapshot.comm_id)
            continue
        if batch and size > room_left:
            messages.append(broadcasts.CommSync(batch, continues=bool(messages) or None))
            batch, room_left = [], _SYNC_SIZE
        batch.append(snapshot)
        room_left -= size
    messages.append(broadcasts.CommSync(batch, continues=bool(messages) or None))
    return messages


def _size(snapshot: CommSnapshot) -> float:
    """Bytes of a snapshot on the wire, roughly; infinite for what JSON has no way to say."""
    try:
        state = len(orjson.dumps(snapshot.state))
    except TypeError:
        return float("inf")
    return state + _BUFFER_COST * sum(map(len, snapshot.buffers))
