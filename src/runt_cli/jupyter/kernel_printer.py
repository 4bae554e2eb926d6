"""Prints what a kernel says of one execution, straight from its messages.

Streams go out byte for byte: what rewrites a line is the terminal's business. Knows nothing of
sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from runt_cli.output_printer import Screen
from runt_cli.output_text import rich_text, traceback_text
from runtimed.client.results import Output
from runtimed.messages.wire import Message

__all__ = ["KernelPrinter", "kernel_output"]

_SHOWN = {"display_data", "execute_result", "update_display_data"}


class KernelPrinter:
    """Prints to a screen. rich: how an output with data is written, ending with a newline."""

    def __init__(
        self, screen: Screen, rich: Callable[[Output], str] = lambda o: rich_text(o.data or {})
    ) -> None:
        self._screen = screen
        self._rich = rich
        self._clear = False

    def show(self, message: Message) -> None:
        """Print a message of iopub; those that are no outputs are passed over."""
        content = message.content
        if message.msg_type == "clear_output":
            if content.get("wait"):
                self._clear = True
            else:
                self._erase_line()
            return
        if message.msg_type == "stream":
            self._before()
            to_err = content.get("name") == "stderr"
            self._screen.stream(to_err, str(content.get("text", "")))
        elif message.msg_type == "error":
            self._before()
            output = kernel_output(message)
            self._screen.block(True, traceback_text(output, colour=self._screen.colour))
        elif message.msg_type in _SHOWN:
            self._before()
            if text := self._rich(kernel_output(message)):
                self._screen.block(False, text)

    def _before(self) -> None:
        if self._clear:
            self._clear = False
            self._erase_line()

    def _erase_line(self) -> None:
        # What has scrolled by can't be taken back; a line that is rewritten can.
        if self._screen.terminal:
            self._screen.stream(False, "\r\x1b[K")


def kernel_output(message: Message) -> Output:
    """An output message in the shape that everything which prints knows."""
    content = message.content
    kind = "display_data" if message.msg_type == "update_display_data" else message.msg_type
    if kind == "error":
        lines = content.get("traceback")
        return Output(
            output_type=kind,
            ename=str(content.get("ename", "")),
            evalue=str(content.get("evalue", "")),
            traceback=[str(line) for line in lines] if isinstance(lines, list) else [],
        )
    data = content.get("data")
    count = content.get("execution_count")
    return Output(
        output_type=kind,
        data=_texts(data) if isinstance(data, dict) else {},
        execution_count=count if isinstance(count, int) else None,
    )


def _texts(data: Mapping[str, Any]) -> dict[str, str]:
    return {
        mime: value if isinstance(value, str) else orjson.dumps(value).decode()
        for mime, value in data.items()
    }
