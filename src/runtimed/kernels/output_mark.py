"""Knowing when a kernel that says "idle" too early has said everything about a cell.

Deno's kernel takes what a cell prints from another thread than the one that says the cell is done:
outputs follow the idle status by as long as it takes to send them, seconds after a flood, and carry
the name of the next cell once that has begun. Waiting for silence does not help, for there are
pauses in a flood. But outputs keep their order among themselves, and answering a question about
completions runs code without beginning a cell. So a property is defined whose getter puts out a
mark; asking for its completions puts the mark behind the cell's last output, under the cell's own
name. The status is held back until the mark has come.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from runtimed.messages.wire import Message

__all__ = ["MARK_REQUEST", "OutputMark", "define_mark"]

_NAME = "__runtimed_mark"

#: A complete_request that has the mark put out.
MARK_REQUEST = {"code": f"{_NAME}.x", "cursor_pos": len(_NAME) + 2}

#: Seconds without any message after which a mark is no longer expected: code may have removed it.
_LOST = 2.0


def define_mark() -> str:
    """Code to run before the first cell. The property is in nobody's way: it is not enumerable."""
    return (
        f"Object.defineProperty(globalThis, {_NAME!r}, "
        f"{{ get() {{ Deno.jupyter.broadcast({_NAME!r}, {{}}); return {{}}; }} }});"
    )


class OutputMark:
    """Stands between a kernel's channels and who hears them.

    ask: sends MARK_REQUEST and returns its id. deliver: takes what is to be heard.
    """

    def __init__(self, ask: Callable[[], str], deliver: Callable[[str, Message], None]) -> None:
        self._ask = ask
        self._deliver = deliver
        self._asked = ""
        self._cell = ""
        self._held: Message | None = None
        self._last = 0.0
        self._failed: Message | None = None
        self._told = ""
        self._wake = trio.Event()

    def hear(self, channel: str, message: Message) -> None:
        """Deliver a message, or hold it back if it is the idle status of a cell."""
        self._last = trio.current_time()
        if message.parent_id and message.parent_id == self._asked:
            return
        if channel == "iopub":
            if message.msg_type == _NAME:
                self._release()
                return
            if message.msg_type == "execute_input":
                self._cell = message.parent_id
            elif message.msg_type == "error":
                self._told = message.parent_id
        elif message.msg_type == "execute_reply":
            # The reply comes when the code is done: nothing is asked behind code that still runs.
            self._asked = self._ask()
            if message.content.get("status") == "error":
                self._failed = message
        idle = channel == "iopub" and message.content.get("execution_state") == "idle"
        if idle and message.parent_id == self._cell:
            self._held = message
            self._wake.set()
        else:
            self._deliver(channel, message)

    async def run(self) -> None:
        """Give up on marks that never come. Runs until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            now = -math.inf
            while self._held is not None and (due := self._last + _LOST) > now:
                await trio.sleep_until(due)
                now = trio.current_time()
            self._release()

    def _release(self) -> None:
        idle, self._held = self._held, None
        if idle is None:
            return
        failed, self._failed = self._failed, None
        if failed is not None and failed.parent_id == idle.parent_id != self._told:
            self._deliver("iopub", _error_of(failed))
        self._deliver("iopub", idle)


def _error_of(reply: Message) -> Message:
    """The error output that Deno leaves out for code that it can't read or that was interrupted."""
    name = str(reply.content.get("ename") or "Error")
    value = str(reply.content.get("evalue") or "")
    if value == "Execution failed":
        value = "Deno ran nothing of this, or was interrupted: is there a syntax error?"
    lines = [str(line) for line in reply.content.get("traceback") or ()]
    content = {"ename": name, "evalue": value, "traceback": lines or [f"{name}: {value}"]}
    return Message("error", "", reply.parent_id, content, {}, ())
