"""A console on a kernel with a connection file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import trio

from runt_cli.jupyter.console import completeness
from runt_cli.jupyter.console.attached import Completions, Face, MarkedLines, Status, marked
from runt_cli.jupyter.kernel_printer import KernelPrinter
from runt_cli.jupyter.running import interrupt_briefly, run_in_kernel
from runt_cli.output_printer import Screen
from runt_cli.terminal_input import TerminalInput
from runtimed.jupyter.client import JupyterClient
from runtimed.messages.wire import Message

__all__ = ["KernelSide"]

#: Seconds for an answer that a person waits for; a kernel that is at work gives none.
_ANSWER_LIMIT = 2.0

#: Seconds for completions, whose first may have the kernel load a library; nobody is held up.
_COMPLETE_LIMIT = 15.0


class KernelSide:
    """Attached to a kernel by a client that is connected."""

    def __init__(
        self, client: JupyterClient, face: Face, asker: TerminalInput | None = None
    ) -> None:
        self.language = ""
        self.banner = ""
        self.count: int | None = None
        self._client = client
        self._printer = KernelPrinter(face.screen, face.rich)
        self._face = face
        self._asker = asker
        self._others: dict[str, tuple[MarkedLines, KernelPrinter]] = {}
        client.on_other = self._hear_other

    async def greet(self) -> None:
        """Learn what the kernel is, and which number comes next, unless it is at work."""
        info = await self._answer("kernel_info_request", {})
        language = info.get("language_info")
        self.language = str(language.get("name", "")) if isinstance(language, dict) else ""
        self.banner = str(info.get("banner", ""))
        if info:
            nothing = {"code": "", "silent": True, "store_history": False, "allow_stdin": False}
            self._learn(await self._answer("execute_request", nothing))

    async def run(self, code: str) -> bool:
        reply = await run_in_kernel(self._client, code, self._printer.show, self._asker)
        self._learn(reply)
        for page in reply.get("payload") or ():
            # What `object?` shows comes with the reply.
            if isinstance(page, dict) and page.get("source") == "page":
                text = str((page.get("data") or {}).get("text/plain", ""))
                self._face.screen.block(False, text.rstrip("\n") + "\n")
        return reply.get("status") == "ok"

    async def complete(self, code: str, cursor: int) -> Completions:
        found = await self._answer(
            "complete_request", {"code": code, "cursor_pos": cursor}, _COMPLETE_LIMIT
        )
        texts = [str(match) for match in found.get("matches") or ()]
        start, end = found.get("cursor_start", cursor), found.get("cursor_end", cursor)
        return Completions(texts, int(start), int(end))

    async def status(self, code: str) -> Status:
        local = completeness.is_complete(code, self.language)
        if local and code.endswith("\n"):
            return Status(True)
        answer = await self._answer("is_complete_request", {"code": code})
        said = answer.get("status")
        if said in ("complete", "invalid"):
            return Status(True)
        if said == "incomplete":
            return Status(False, str(answer.get("indent", "")))
        return Status(local, completeness.indent_after(code))

    async def interrupt(self) -> None:
        await interrupt_briefly(self._client)

    async def _answer(
        self, msg_type: str, content: Mapping[str, Any], limit: float = _ANSWER_LIMIT
    ) -> Mapping[str, Any]:
        """The content of a reply; nothing if it does not come in time."""
        with trio.move_on_after(limit):
            return await self._client.request(msg_type, content)
        return {}

    def _learn(self, reply: Mapping[str, Any]) -> None:
        count = reply.get("execution_count")
        if isinstance(count, int):
            self.count = count + 1

    def _hear_other(self, message: Message, mine: bool) -> None:
        if mine:
            # Something of ours that runs on behind its cell has more to say.
            lines = MarkedLines(self._face.aside)
            KernelPrinter(_screen(lines), self._face.rich).show(message)
            lines.finish()
            return
        if message.msg_type == "execute_input":
            count = message.content.get("execution_count")
            self._face.aside(marked(str(message.content.get("code", "")), count))
            if isinstance(count, int):
                self.count = count + 1
        elif message.msg_type == "status":
            idle = message.content.get("execution_state") == "idle"
            if idle and (other := self._others.pop(message.parent_id, None)) is not None:
                other[0].finish()
        else:
            if message.parent_id not in self._others:
                lines = MarkedLines(self._face.aside)
                self._others[message.parent_id] = (lines, KernelPrinter(_screen(lines)))
            self._others[message.parent_id][1].show(message)


def _screen(lines: MarkedLines) -> Screen:
    stream = cast(BinaryIO, lines)
    return Screen(out=stream, err=stream)
