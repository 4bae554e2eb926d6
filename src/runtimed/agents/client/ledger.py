"""What a runtime still owes on a session's connection to requests that nobody waits for any more.

Messages carry no ids: an answer is told from another one by its place alone. So before a request is
sent, everything that belongs to earlier ones must have come. Pure; `RuntimeUseSession` acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtimed.agents.messages import CommandExecutionMessage

__all__ = ["BUSY", "TERMINALS", "Ledger"]

#: What ends a request.
TERMINALS = frozenset({"result_message", "command_execution_result_message", "error_message"})

#: How a runtime refuses a request while it is at work on another one.
BUSY = "Received request while another is in flight!"


class Ledger:
    """The account of one connection.

    A request that its caller gave up owes its end. One that ended in an error may end a second
    time, with some runtimes. Against that helps a barrier: a command execution without commands,
    behind whose empty answer nothing old can come.
    """

    def __init__(self) -> None:
        self._owed = 0
        self._doubtful = False
        self._barriers = 0
        self._secrets: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<Ledger owed={self._owed} doubtful={self._doubtful} barriers={self._barriers}>"

    @property
    def settled(self) -> bool:
        """Whether a request may be sent."""
        return not (self._owed or self._doubtful or self._barriers)

    @property
    def owes_an_end(self) -> bool:
        """Whether the end of a request that was given up has to come first."""
        return self._owed > 0

    def given_up(self, secrets: Sequence[str]) -> None:
        """A request was sent, and its caller does not wait for its end."""
        self._owed += 1
        self._secrets = secrets

    def ended(self, message: Mapping[str, Any], secrets: Sequence[str]) -> None:
        """The end of a request came, and its caller has it."""
        if message.get("message_type") == "error_message":
            self._doubtful = True
            self._secrets = secrets

    def barrier(self) -> CommandExecutionMessage | None:
        """What is to be sent now, if anything. With it goes what must still be redacted."""
        if self._owed or self._barriers or not self._doubtful:
            return None
        self._barriers += 1
        return CommandExecutionMessage(commands=[], secrets_to_redact=list(self._secrets))

    def hear(self, message: Mapping[str, Any]) -> bool:
        """Take note of a message that came while not settled.

        Returns whether the runtime was busy, so that the next barrier should wait a moment.
        """
        kind = message.get("message_type")
        if kind not in TERMINALS:
            return False
        if self._owed:
            self._owed -= 1
            self._doubtful = self._doubtful or kind == "error_message"
        elif self._barriers and kind == "error_message" and message.get("error") == BUSY:
            self._barriers -= 1
            return True
        elif self._barriers and _is_empty_result(message):
            self._barriers -= 1
            self._doubtful = self._barriers > 0
        return False


def _is_empty_result(message: Mapping[str, Any]) -> bool:
    return (
        message.get("message_type") == "command_execution_result_message"
        and message.get("results") == []
    )
