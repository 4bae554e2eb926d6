"""What can go wrong on a client's way to an answer, beside what the runtime says."""

from __future__ import annotations

import trio

from runtimed.errors import RuntimedError

__all__ = ["AgentCallTimedOut", "AgentConnectionLost", "AgentUnreachable"]


class AgentUnreachable(RuntimedError, ConnectionError):
    """Something answers at the address, but not as an agent runtime; the message says what.

    An OSError, as are a refused connection and a name that is not known.
    """


class AgentCallTimedOut(RuntimedError, TimeoutError, trio.TooSlowError):
    """The call took longer than its `timeout`."""


class AgentConnectionLost(RuntimedError):
    """The connection broke, rather than being closed in order.

    Shape: `code` is the close code, 1006 when there was none; `reason` what was said with it.
    """

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"Connection to the agent runtime lost ({code}: {reason or 'no reason'})")
        self.code = code
        self.reason = reason
