"""The runtime's log: who asked, then the text, with the secrets of that request redacted."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from runtimed.agents.redaction import Redactor

__all__ = ["LOGGER", "RequestLogger", "log_to_streams"]

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter  # no generic before Python 3.11

LOGGER = logging.getLogger("runtimed.agents.runtime")


if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter  # takes no parameter before Python 3.11


class RequestLogger(_LoggerAdapter):
    """Logs as `[<source_id>] text`. Tracebacks are part of the text, and redacted with it."""

    def __init__(self, logger: logging.Logger, source_id: str, redactor: Redactor) -> None:
        super().__init__(logger, {})
        self._prefix = f"[{source_id}] "
        self._redactor = redactor

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if not self.isEnabledFor(level):
            return
        text = str(msg)
        if args:
            values = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else args
            text %= values
        raised = kwargs.pop("exc_info", None)
        if raised:
            error = raised if isinstance(raised, BaseException) else sys.exc_info()[1]
            if error is not None:
                shown = traceback.format_exception(type(error), error, error.__traceback__)
                text = f"{text}\n{''.join(shown).rstrip()}"
        line = self._redactor.text(self._prefix + text)
        self.logger.log(level, "%s", line, **{**kwargs, "stacklevel": 2})


def log_to_streams(out: IO[str], err: IO[str], *, debug: bool = False) -> None:
    """Information to one stream, warnings and errors to the other. For the command line."""
    quiet = logging.StreamHandler(out)
    quiet.addFilter(lambda record: record.levelno < logging.WARNING)
    loud = logging.StreamHandler(err)
    loud.setLevel(logging.WARNING)
    LOGGER.handlers = [quiet, loud]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.DEBUG if debug else logging.INFO)
