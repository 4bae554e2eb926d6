"""Waiting for what a kernel says too late.

Deno's kernel takes what a cell prints from another thread than the one that says that the cell is
done, so a cell's last outputs may follow its idle status, and then even carry the name of the next
cell. Holding the status back for a moment of silence keeps both from happening, since no cell is
started before it. It is also where an error that was only told in the reply gets its output: Deno
leaves it out for code that it can't read and for code that was interrupted.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import trio

from runtimed.messages.wire import Message

__all__ = ["LateIdle"]

#: Times of silence after which it is no longer waited for: what a timer prints never stops.
_LONGEST = 10

Deliver = Callable[[str, Message], None]


class LateIdle:
    """Stands between a kernel's channels and who hears them. quiet: seconds of silence."""

    def __init__(self, quiet: float, deliver: Deliver) -> None:
        self._quiet = quiet
        self._deliver = deliver
        self._held: list[Message] = []
        self._heard = 0
        self._wake = trio.Event()
        self._failed: dict[str, Message] = {}
        self._told: set[str] = set()

    def hear(self, channel: str, message: Message) -> None:
        """Deliver a message, or hold it back if it is an idle status."""
        self._heard += 1
        if channel == "iopub":
            if message.content.get("execution_state") == "idle":
                self._held.append(message)
                self._wake.set()
                return
            if message.msg_type == "error":
                self._told.add(message.parent_id)
        elif message.msg_type == "execute_reply" and message.content.get("status") == "error":
            self._failed[message.parent_id] = message
        self._deliver(channel, message)

    async def run(self) -> None:
        """Deliver what is held back, each after its silence. Runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            for _ in range(_LONGEST):
                heard = self._heard
                await trio.sleep(self._quiet)
                if heard == self._heard:
                    break
            held, self._held = self._held, []
            for idle in held:
                reply = self._failed.pop(idle.parent_id, None)
                if reply is not None and idle.parent_id not in self._told:
                    self._deliver("iopub", _error_of(reply))
                self._told.discard(idle.parent_id)
                self._deliver("iopub", idle)


def _error_of(reply: Message) -> Message:
    name = str(reply.content.get("ename") or "Error")
    value = str(reply.content.get("evalue") or "")
    lines = [str(line) for line in reply.content.get("traceback") or ()]
    if value == "Execution failed" and not lines:
        value = "Deno ran nothing of this, or was interrupted: is there a syntax error?"
    content = {"ename": name, "evalue": value, "traceback": lines or [f"{name}: {value}"]}
    return Message("error", uuid.uuid4().hex, reply.parent_id, content, {}, ())
