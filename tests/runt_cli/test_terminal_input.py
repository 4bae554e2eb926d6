from __future__ import annotations

import io
import os
import termios
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from runt_cli.output_printer import Screen
from runt_cli.terminal_input import TerminalInput
from runtimed import InputRequest

NAME = InputRequest(id="q", cell_id="c", prompt="name? ")


class Person:
    """Somebody at a terminal."""

    def __init__(self) -> None:
        self.keyboard, self.terminal = os.openpty()
        self.err = io.BytesIO()
        self.input = TerminalInput(Screen(out=io.BytesIO(), err=self.err), self.terminal)
        self.answers: list[str | None] = []

    def type(self, text: str) -> None:
        os.write(self.keyboard, text.encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    async def ask(self, question: InputRequest) -> None:
        self.answers.append(await self.input(question))


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    os.close(person.keyboard)
    os.close(person.terminal)


async def test_a_question_is_put_when_the_run_has_come_to_it(person: Person) -> None:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(person.ask, NAME)
            await trio.testing.wait_all_tasks_blocked()
            assert person.err.getvalue() == b""
            person.input.reached(NAME)
            await trio.testing.wait_all_tasks_blocked()
            assert person.err.getvalue() == b"name? "
            person.type("Ada Ä\n")
    assert person.answers == ["Ada Ä"]


async def test_ctrl_d_is_the_end_of_input(person: Person) -> None:
    person.input.reached(NAME)
    person.type("\x04")
    with trio.fail_after(30):
        await person.ask(NAME)
    assert person.answers == [None]


async def test_a_password_is_not_shown_while_it_is_typed(person: Person) -> None:
    question = InputRequest(id="q", cell_id="c", prompt="pw? ", password=True)
    person.input.reached(question)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(person.ask, question)
            await trio.testing.wait_all_tasks_blocked()
            assert not person.echoes
            person.type("secret\n")
    assert person.answers == ["secret"]
    assert person.echoes
    assert person.err.getvalue() == b"pw? \n"


async def test_a_question_that_is_given_up_leaves_the_line_to_the_next_one(person: Person) -> None:
    question = InputRequest(id="q", cell_id="c", prompt="pw? ", password=True)
    for asked in (question, NAME):
        person.input.reached(asked)
    with trio.fail_after(30):
        with trio.move_on_after(0.05):
            await person.ask(question)
        assert person.echoes
        person.type("Ada\n")
        await person.ask(NAME)
    assert person.answers == ["Ada"]
