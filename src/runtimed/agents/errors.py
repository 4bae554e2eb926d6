"""What a program that drives an agent catches."""

from __future__ import annotations

import json
from typing import Any

from runtimed.errors import RuntimedError

__all__ = ["AgentRuntimeError", "CancelledException"]


class AgentRuntimeError(RuntimedError):
    """A request failed: the runtime said so, or there was no answer.

    Shape: `error` is its text, `metadata` what is known beyond it. The text of the exception is the
    error, followed by the metadata as JSON on a line of its own when there is any.
    """

    def __init__(self, error: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(error, metadata)
        self.error = error
        self.metadata = metadata

    def __str__(self) -> str:
        if not self.metadata:
            return self.error
        shown = json.dumps(self.metadata, sort_keys=True, ensure_ascii=False, default=str)
        return f"{self.error}\nmetadata: {shown}"


class CancelledException(RuntimedError):
    """The caller aborted the request."""
