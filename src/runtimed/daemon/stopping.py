"""The wish that the daemon end: heard at any moment, also while it is still starting."""

from __future__ import annotations

import logging
import signal
from typing import Any

import attrs
import trio

__all__ = ["Stopping"]

log = logging.getLogger(__name__)


@attrs.define
class Stopping:
    """Whether an end was asked for.

    `starting` is the scope of the start: cancelled when the end is asked for before there is
    anybody to whom an orderly one matters. A cancelled scope stays cancelled, so no moment exists
    in which a signal could get lost.
    """

    asked: trio.Event = attrs.field(factory=trio.Event)
    starting: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _is_ready: bool = False

    def ready(self) -> None:
        """From now on an end is waited for and orderly: `starting` is not cancelled any more."""
        self._is_ready = True

    def ask(self) -> None:
        self.asked.set()
        if not self._is_ready:
            self.starting.cancel()

    async def ask_on_signal(self, signals: Any) -> None:
        """Ask at each signal. Runs until cancelled."""
        async for number in signals:
            log.info("signal received signal=%s", signal.Signals(number).name)
            self.ask()
