"""What is owed on a session's connection. Source: agent runtime specification, 9.4."""

from __future__ import annotations

from agent_peers import error, heartbeat, result, results, said

from runtimed.agents.client.ledger import BUSY, Ledger


def test_a_new_connection_owes_nothing() -> None:
    ledger = Ledger()
    assert ledger.settled
    assert ledger.barrier() is None


def test_a_good_end_leaves_nothing_behind() -> None:
    ledger = Ledger()
    ledger.ended(result(), [])
    assert ledger.settled


def test_a_request_that_was_given_up_owes_its_end() -> None:
    ledger = Ledger()
    ledger.given_up(["s"])
    assert ledger.owes_an_end
    assert ledger.barrier() is None
    for message in (said("x"), heartbeat(), {}):
        assert not ledger.hear(message)
    assert not ledger.settled
    ledger.hear(result())
    assert ledger.settled


def test_behind_an_error_a_barrier_is_needed() -> None:
    ledger = Ledger()
    ledger.ended(error("x"), ["s"])
    assert not ledger.settled
    barrier = ledger.barrier()
    assert barrier is not None
    assert (barrier.commands, barrier.secrets_to_redact) == ([], ["s"])
    assert ledger.barrier() is None  # one at a time
    ledger.hear(result("the second end"))
    ledger.hear(error("and a third"))
    assert not ledger.settled
    ledger.hear(results())
    assert ledger.settled


def test_a_given_up_request_that_ends_in_an_error_needs_one_too() -> None:
    ledger = Ledger()
    ledger.given_up(["s"])
    ledger.hear(error("Request cancelled"))
    barrier = ledger.barrier()
    assert barrier is not None
    assert barrier.secrets_to_redact == ["s"]


def test_a_barrier_that_is_refused_is_sent_again() -> None:
    ledger = Ledger()
    ledger.ended(error("x"), [])
    assert ledger.barrier() is not None
    assert ledger.hear(error(BUSY))
    assert not ledger.settled
    assert ledger.barrier() is not None
    assert not ledger.hear(results())
    assert ledger.settled


def test_the_results_of_commands_are_no_answer_to_a_barrier() -> None:
    ledger = Ledger()
    ledger.ended(error("x"), [])
    ledger.barrier()
    ledger.hear(results({"command": "ls", "exit_code": 0}))
    assert not ledger.settled
