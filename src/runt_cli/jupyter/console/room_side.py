"""A console on a room of the daemon: what is typed becomes cells, which every peer sees."""

from __future__ import annotations

import math
from typing import BinaryIO, cast

import trio

from runt_cli.jupyter.console import completeness
from runt_cli.jupyter.console.attached import Completions, Face, MarkedLines, Status, marked
from runt_cli.output_printer import OutputPrinter, Screen
from runt_cli.terminal_input import TerminalInput
from runtimed import AsyncSession
from runtimed.client.results import ExecutionEvent
from runtimed.errors import RuntimedError

__all__ = ["RoomSide"]

#: Seconds for an interrupt when its run is given up.
_INTERRUPT_LIMIT = 5.0


class RoomSide:
    """Attached to a room by a session that is connected."""

    def __init__(
        self, session: AsyncSession, face: Face, language: str, asker: TerminalInput | None = None
    ) -> None:
        self.language = language
        self.count: int | None = None
        self._session = session
        self._face = face
        self._asker = asker
        self._mine: set[str] = set()  # cells whose next run is ours
        self._others: dict[str, tuple[MarkedLines, OutputPrinter]] = {}

    async def run(self, code: str) -> bool:
        session, screen = self._session, self._face.screen
        cell_id = await session.create_cell(code)
        printer = OutputPrinter(screen, self._face.rich)
        self._mine.add(cell_id)
        ok = ended = False
        try:
            async for event in await session.stream_execute(cell_id, timeout_secs=math.inf):
                if event.event_type == "execution_started":
                    ok = True
                    self._learn(event)
                elif event.event_type == "output" and event.output is not None:
                    ok = ok and event.output.output_type != "error"
                    printer.show(event.output_index or 0, event.output)
                elif event.event_type == "input_request" and self._asker is not None:
                    if event.input_request is not None:
                        self._asker.reached(event.input_request)
                elif event.event_type == "error":
                    ok = False
                    screen.block(True, f"{event.error_message or 'The kernel died'}\n")
            ended = True
        finally:
            if not ended:
                with trio.move_on_after(_INTERRUPT_LIMIT, shield=True):
                    await session.interrupt()
        # The document has the last word: what no event brought is printed now.
        for index, output in enumerate((await session.get_cell(cell_id)).outputs):
            printer.show(index, output)
        return ok

    async def complete(self, code: str, cursor: int) -> Completions:
        try:
            found = await self._session.complete(code, cursor)  # has a limit of its own
        except RuntimedError:
            return Completions()  # there may be no kernel any more; the next run says so
        texts = [item.label for item in found.items]
        return Completions(texts, found.cursor_start, found.cursor_end)

    async def status(self, code: str) -> Status:
        complete = completeness.is_complete(code, self.language)
        return Status(complete, completeness.indent_after(code))

    async def interrupt(self) -> None:
        await self._session.interrupt()

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Show what others run. Returns when the connection has ended."""
        subscription = self._session.subscribe()
        task_status.started()
        skipped: set[str] = set()
        async for event in subscription:
            cell_id = event.cell_id
            if event.event_type == "execution_started":
                self._learn(event)
                if cell_id in self._mine:
                    self._mine.discard(cell_id)
                    skipped.add(cell_id)
                else:
                    skipped.discard(cell_id)
                    await self._begin_other(event)
            elif cell_id in skipped:
                continue
            elif event.event_type == "output" and event.output is not None:
                if cell_id in self._others:
                    self._others[cell_id][1].show(event.output_index or 0, event.output)
            elif event.event_type in ("done", "error") and cell_id in self._others:
                self._others.pop(cell_id)[0].finish()

    async def _begin_other(self, event: ExecutionEvent) -> None:
        try:
            source = (await self._session.get_cell(event.cell_id)).source
        except RuntimedError:
            source = "(a cell that is gone)"
        lines = MarkedLines(self._face.aside)
        stream = cast(BinaryIO, lines)
        self._others[event.cell_id] = (lines, OutputPrinter(Screen(out=stream, err=stream)))
        self._face.aside(marked(source, event.execution_count))

    def _learn(self, event: ExecutionEvent) -> None:
        if event.execution_count is not None:
            self.count = event.execution_count + 1
