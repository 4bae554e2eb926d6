"""Input for running cells: the kernel's questions go to the peers that can answer.

Who is asked and what becomes of a question is decided in messages/inputs.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from runtimed.errors import KernelDied
from runtimed.kernels.kernel import Kernel
from runtimed.messages.inputs import (
    END_OF_INPUT,
    Done,
    InputCommand,
    Inputs,
    Put,
    Question,
    Reply,
)
from runtimed.messages.queue import Execution
from runtimed.messages.wire import Message
from runtimed.outputs.json_text import well_formed
from runtimed.protocol import broadcasts
from runtimed.rooms.peer import Peer

__all__ = ["InputRequests"]


class InputPeers(Protocol):
    """What asking needs of a room: a way to some of its peers."""

    def tell(self, peer_ids: Iterable[str], message: broadcasts.NotebookBroadcast) -> None: ...


class InputRequests:
    """The questions of whatever kernel a room has."""

    def __init__(self, room: InputPeers) -> None:
        self._room = room
        self._inputs = Inputs()
        self._kernel: Kernel | None = None

    @property
    def possible(self) -> bool:
        """Whether somebody could answer; a cell that starts now may ask."""
        return self._inputs.possible

    def attach(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def detach(self) -> None:
        """The kernel is gone."""
        self._kernel = None
        self._carry_out(self._inputs.nobody_waits())

    def set_answering(self, peer: Peer, enabled: bool) -> None:
        """A peer can answer, or can't any more; one that leaves can't."""
        inputs = self._inputs
        self._carry_out(inputs.can_answer(peer.id) if enabled else inputs.cannot_answer(peer.id))

    def asked(self, message: Message, execution: Execution) -> None:
        """The kernel asks for a line in the name of an execution."""
        question = Question(
            id=message.msg_id,
            cell_id=execution.cell_id,
            execution_id=execution.id,
            prompt=well_formed(str(message.content.get("prompt", ""))),
            password=bool(message.content.get("password")),
        )
        self._carry_out(self._inputs.asked(question))

    def refuse(self) -> None:
        """The kernel asks in the name of nothing that a person could know of."""
        self._reply(Reply(END_OF_INPUT))

    def answer(self, request_id: str, value: str | None) -> None:
        """Give a peer's answer to the kernel.

        Raises: RuntimedError if nobody waits for it.
        """
        self._carry_out(self._inputs.answered(request_id, value))

    def execution_ended(self, execution_id: str) -> None:
        self._carry_out(self._inputs.execution_ended(execution_id))

    def _carry_out(self, commands: list[InputCommand]) -> None:
        for command in commands:
            if isinstance(command, Put):
                self._room.tell(command.peers, _broadcast(command.question))
            elif isinstance(command, Done):
                self._room.tell(command.peers, broadcasts.InputDone(command.question_id))
            else:
                self._reply(command)

    def _reply(self, command: Reply) -> None:
        if self._kernel is not None:
            try:
                self._kernel.reply_input(command.value)
            except KernelDied:
                pass  # its end is about to be noticed, with all that waits


def _broadcast(question: Question) -> broadcasts.InputRequest:
    return broadcasts.InputRequest(
        request_id=question.id,
        cell_id=question.cell_id,
        execution_id=question.execution_id,
        prompt=question.prompt,
        password=question.password,
    )
