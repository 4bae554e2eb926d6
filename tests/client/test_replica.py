from __future__ import annotations

import pytest

from runtimed.client.replica import Replica
from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NotebookDocument
from runtimed.document.sync_messages import announced_heads
from runtimed.errors import RemoteProtocolError


class Daemon:
    def __init__(self) -> None:
        self.document = NotebookDocument.create("n", daemon_actor())
        self.peer = self.document.new_peer()

    def exchange(self, replica: Replica) -> None:
        """Pass messages until neither has anything to say."""
        while True:
            up = replica.outgoing()
            if up is not None:
                self.document.receive_sync(self.peer, up)
            down = self.document.generate_sync(self.peer)
            if down is not None:
                replica.receive(down)
            if up is None and down is None:
                return


def test_a_replica_gets_in_step_with_the_daemon() -> None:
    daemon, replica = Daemon(), Replica()
    daemon.document.insert_cell("a", "code", "x = 1")
    assert not replica.confirmed
    daemon.exchange(replica)
    assert replica.in_step
    assert replica.confirmed
    assert replica.document.cell_ids() == ["a"]


def test_an_edit_is_unconfirmed_until_the_daemon_has_told_that_it_has_it() -> None:
    daemon, replica = Daemon(), Replica("label")
    daemon.exchange(replica)
    replica.document.insert_cell("a", "code", "x")
    assert not replica.confirmed
    message = replica.outgoing()
    assert message is not None
    daemon.document.receive_sync(daemon.peer, message)
    daemon.document.insert_cell("b", "code", "y")
    assert not replica.confirmed
    daemon.exchange(replica)
    assert replica.confirmed


def test_being_told_of_changes_that_have_not_come_is_not_being_in_step() -> None:
    daemon, replica = Daemon(), Replica()
    message = daemon.document.generate_sync(daemon.peer)
    assert message is not None
    replica.receive(message)
    assert not replica.in_step
    daemon.exchange(replica)
    assert replica.in_step


def test_announced_heads_are_read_from_the_message() -> None:
    daemon = Daemon()
    message = daemon.document.generate_sync(daemon.peer)
    assert message is not None
    assert announced_heads(message) == daemon.document.heads


@pytest.mark.parametrize("data", [b"", b"\x41\x00", b"\x42", b"\x42\x01abc", b"\x42" + b"\xff" * 9])
def test_garbage_is_the_daemons_fault(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Replica().receive(data)


def test_the_daemon_may_be_known_to_have_an_edit_and_to_lack_a_later_one() -> None:
    daemon, replica = Daemon(), Replica()
    daemon.exchange(replica)
    replica.document.insert_cell("a", "code", "x")
    first = replica.version
    assert not replica.daemon_has(first)
    daemon.exchange(replica)
    replica.document.insert_cell("b", "code", "y")
    assert replica.daemon_has(first)
    assert not replica.daemon_has(replica.version)


def test_the_daemon_can_be_asked_where_it_has_no_need_to_tell() -> None:
    daemon, replica = Daemon(), Replica()
    daemon.exchange(replica)
    replica.document.insert_cell("a", "code", "x")
    first = replica.outgoing()
    daemon.document.insert_cell("b", "code", "x")
    down = daemon.document.generate_sync(daemon.peer)
    assert first is not None
    assert down is not None
    replica.receive(down)
    second = replica.outgoing()
    daemon.document.receive_sync(daemon.peer, first)
    if second is not None:
        daemon.document.receive_sync(daemon.peer, second)
    assert not replica.confirmed
    replica.announced(daemon.document.heads)
    assert replica.confirmed
