from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtimed.errors import RuntimedError
from runtimed.messages.inputs import END_OF_INPUT, Done, InputCommand, Inputs, Put, Question, Reply


def question(name: str = "q", execution: str = "e") -> Question:
    return Question(name, "cell", execution, "name? ")


def to(*peers: str) -> frozenset[str]:
    return frozenset(peers)


def test_who_can_answer_is_asked_and_the_first_answer_counts() -> None:
    inputs = Inputs()
    inputs.can_answer("a")
    inputs.can_answer("b")
    assert inputs.asked(question()) == [Put(question(), to("a", "b"))]
    assert inputs.answered("q", "text") == [Reply("text"), Done("q", to("a", "b"))]
    with pytest.raises(RuntimedError, match="any more"):
        inputs.answered("q", "other text")


def test_no_value_is_the_end_of_input() -> None:
    inputs = Inputs()
    inputs.can_answer("a")
    inputs.asked(question())
    assert inputs.answered("q", None)[0] == Reply(END_OF_INPUT)


def test_without_anybody_to_ask_input_ends_at_once() -> None:
    inputs = Inputs()
    assert not inputs.possible
    assert inputs.asked(question()) == [Reply(END_OF_INPUT)]


def test_input_ends_when_the_last_who_could_answer_leaves() -> None:
    inputs = Inputs()
    inputs.can_answer("a")
    inputs.can_answer("b")
    inputs.asked(question())
    assert inputs.cannot_answer("a") == [Done("q", to("a"))]
    assert inputs.cannot_answer("a") == []
    assert inputs.cannot_answer("b") == [Reply(END_OF_INPUT), Done("q", to("b"))]


def test_who_comes_later_is_asked_too() -> None:
    inputs = Inputs()
    inputs.can_answer("a")
    inputs.asked(question())
    assert inputs.can_answer("b") == [Put(question(), to("b"))]
    assert inputs.can_answer("b") == []


def test_what_an_ended_cell_asked_is_void() -> None:
    inputs = Inputs()
    inputs.can_answer("a")
    inputs.asked(question())
    assert inputs.execution_ended("another") == []
    assert inputs.execution_ended("e") == [Done("q", to("a"))]


def test_a_kernel_that_asks_anew_waits_no_more_for_what_it_asked_before() -> None:
    inputs = Inputs()
    inputs.can_answer("a")
    inputs.asked(question("q1"))
    assert inputs.asked(question("q2")) == [Done("q1", to("a")), Put(question("q2"), to("a"))]


class Asking(RuleBasedStateMachine):
    """Peers come and go while cells ask. Whoever was asked hears one Done, and a kernel that waits
    always gets its reply, as long as its cell goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = Inputs()
        self.count = 0
        self.kernel_waits = False
        self.open: dict[str, set[str]] = {}  # what each peer has been asked and not told the end of

    def carry_out(self, commands: list[InputCommand]) -> None:
        for command in commands:
            if isinstance(command, Put):
                for peer in command.peers:
                    assert command.question.id not in self.open.setdefault(peer, set())
                    self.open[peer].add(command.question.id)
            elif isinstance(command, Done):
                for peer in command.peers:
                    self.open[peer].remove(command.question_id)
            else:
                assert self.kernel_waits
                self.kernel_waits = False

    @rule(peer=st.sampled_from("abc"))
    def comes(self, peer: str) -> None:
        self.carry_out(self.inputs.can_answer(peer))

    @rule(peer=st.sampled_from("abc"))
    def goes(self, peer: str) -> None:
        self.carry_out(self.inputs.cannot_answer(peer))

    @rule()
    def asks(self) -> None:
        self.count += 1
        self.kernel_waits = True
        self.carry_out(self.inputs.asked(question(f"q{self.count}", f"e{self.count}")))

    @rule()
    def answers(self) -> None:
        if self.kernel_waits:
            self.carry_out(self.inputs.answered(f"q{self.count}", "x"))
        else:
            with pytest.raises(RuntimedError):
                self.inputs.answered(f"q{self.count}", "x")

    @rule()
    def cell_ends(self) -> None:
        self.kernel_waits = False
        self.carry_out(self.inputs.execution_ended(f"e{self.count}"))

    @invariant()
    def whoever_can_answer_knows_what_is_asked(self) -> None:
        asked = {f"q{self.count}"} if self.kernel_waits else set()
        assert all(open_ in (asked, set()) for open_ in self.open.values())
        assert not asked or asked in self.open.values()


Asking.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestAsking = Asking.TestCase
