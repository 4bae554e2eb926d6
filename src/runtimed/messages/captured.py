"""The outputs that a widget has captured: output by output in, nbformat outputs out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["CAPTURED", "CapturedOutputs", "nbformat_output"]

#: Kernel messages that an Output widget captures.
CAPTURED = frozenset({"stream", "display_data", "execute_result", "error", "clear_output"})

_FIELDS = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}


def nbformat_output(msg_type: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A kernel message as the output that a notebook would hold; `transient` is no part of it."""
    return {"output_type": msg_type} | {
        name: content[name] for name in _FIELDS[msg_type] if name in content
    }


class CapturedOutputs:
    """What stands in `outputs` of an Output widget. Neighbouring text of a stream is one output.

    Text is kept as it came, control codes included: whoever joins in the middle of a line gets the
    same bytes as those who have seen it from its beginning.
    """

    def __init__(self, outputs: Iterable[Any] = ()) -> None:
        self._outputs: list[dict[str, Any]] = []
        self._text: list[str] = []  # pieces of the last output's text, if that is a stream
        self._clear_next = False
        self._shown = False  # somebody has got the outputs who can't know that they go next
        self.replace(outputs)

    @property
    def must_clear(self) -> bool:
        """Whether somebody has to be told that the next output replaces what is there."""
        return self._clear_next and self._shown

    def add(self, output: Any) -> None:
        """Append an output; what is none is ignored."""
        if not isinstance(output, dict):
            return
        if self._clear_next:
            self.clear()
        text = _stream_text(output)
        if text is None:
            self._append(output, [])
        elif self._text and self._outputs[-1].get("name") == output.get("name"):
            self._text.append(text)
        else:
            self._append(output, [text])

    def clear(self, wait: bool = False) -> None:
        """Empty the list; with `wait`, only once the next output comes."""
        self._clear_next = wait
        self._shown = False
        if not wait:
            self._outputs = []
            self._text = []

    def replace(self, outputs: Any) -> None:
        """Somebody has set the whole list."""
        self.clear()
        for output in outputs if isinstance(outputs, (list, tuple)) else ():
            self.add(output)

    def values(self, *, to_newcomer: bool = False) -> list[dict[str, Any]]:
        """The outputs. A newcomer hears of a clearing that is due only when it is told."""
        self._shown = self._shown or (to_newcomer and self._clear_next)
        self._settle()
        return list(self._outputs)

    def _append(self, output: dict[str, Any], text: list[str]) -> None:
        self._settle()
        self._outputs.append(output)
        self._text = text

    def _settle(self) -> None:
        """Put the pieces of text together, in a new output: the old one may be in use."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
            self._outputs[-1] = {**self._outputs[-1], "text": self._text[0]}


def _stream_text(output: Mapping[str, Any]) -> str | None:
    text = output.get("text")
    return text if output.get("output_type") == "stream" and isinstance(text, str) else None
