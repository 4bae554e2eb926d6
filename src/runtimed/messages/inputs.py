"""What running code asks people for, a pure state machine: what happened in, what to do out.

Knows peers and questions by their ids only. Every peer that a question was put to hears one
Done, and a kernel that waits gets one Reply unless its cell ended otherwise.
"""

from __future__ import annotations

import attrs

from runtimed.errors import RuntimedError

__all__ = ["END_OF_INPUT", "Done", "InputCommand", "Inputs", "Put", "Question", "Reply"]

#: What a kernel takes for the end of input, as a terminal does.
END_OF_INPUT = "\x04"


@attrs.frozen
class Question:
    """A line of text that a cell waits for."""

    id: str
    cell_id: str
    execution_id: str
    prompt: str
    password: bool = False


@attrs.frozen
class Put:
    """Put the question to these peers."""

    question: Question
    peers: frozenset[str]


@attrs.frozen
class Reply:
    """Give the kernel this text."""

    value: str


@attrs.frozen
class Done:
    """Tell these peers that the question needs no answer any more."""

    question_id: str
    peers: frozenset[str]


InputCommand = Put | Reply | Done


class Inputs:
    """The open questions of one room, and the peers that can answer."""

    def __init__(self) -> None:
        self._peers: set[str] = set()
        self._open: dict[str, Question] = {}

    def __repr__(self) -> str:
        return f"<Inputs open={list(self._open)} peers={len(self._peers)}>"

    @property
    def possible(self) -> bool:
        """Whether somebody could answer."""
        return bool(self._peers)

    def can_answer(self, peer_id: str) -> list[InputCommand]:
        """A peer can answer; it is asked what is being asked."""
        if peer_id in self._peers:
            return []
        self._peers.add(peer_id)
        return [Put(question, frozenset({peer_id})) for question in self._open.values()]

    def cannot_answer(self, peer_id: str) -> list[InputCommand]:
        """A peer can't answer any more. Without any other, nobody will: that is the end of input.

        The peer itself is told, too, that nothing is expected of it.
        """
        if peer_id not in self._peers:
            return []
        self._peers.discard(peer_id)
        done = [Done(question_id, frozenset({peer_id})) for question_id in self._open]
        if self._peers or not self._open:
            return [*done]
        self._open.clear()
        return [Reply(END_OF_INPUT), *done]

    def asked(self, question: Question) -> list[InputCommand]:
        """The kernel asks. It waits for one thing at a time: what it asked before is over."""
        commands = self.nobody_waits()
        if not self._peers:
            return [*commands, Reply(END_OF_INPUT)]
        self._open[question.id] = question
        return [*commands, Put(question, frozenset(self._peers))]

    def answered(self, question_id: str, value: str | None) -> list[InputCommand]:
        """Somebody answers; None is the end of input.

        Raises: RuntimedError if nobody waits for that answer.
        """
        if question_id not in self._open:
            raise RuntimedError(
                "Nobody waits for this input any more: it was given already, or the cell has ended"
            )
        return [Reply(END_OF_INPUT if value is None else value), self._done(question_id)]

    def execution_ended(self, execution_id: str) -> list[InputCommand]:
        """A cell has ended, interrupted for example, and what it asked is void."""
        ids = [q.id for q in self._open.values() if q.execution_id == execution_id]
        return [self._done(question_id) for question_id in ids]

    def nobody_waits(self) -> list[InputCommand]:
        """The kernel is gone, or has gone on, and what it asked is void."""
        return [self._done(question_id) for question_id in list(self._open)]

    def _done(self, question_id: str) -> Done:
        del self._open[question_id]
        return Done(question_id, frozenset(self._peers))
