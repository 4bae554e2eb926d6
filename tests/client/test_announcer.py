"""What a client says of itself and knows of others, without a connection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.client.presence import Announcer, RemotePeers
from runtimed.errors import LocalProtocolError
from runtimed.protocol.presence import (
    Cursor,
    Custom,
    KernelState,
    Left,
    PeerState,
    Selection,
    Snapshot,
    Update,
    decode,
    encode,
)


class Cells(dict[str, str]):
    """Texts of cells that count how often they are read."""

    reads = 0

    def read(self, cell_id: str) -> str:
        self.reads += 1
        return self[cell_id]


def announcer(cells: Cells | None = None) -> Announcer:
    """One that has said that it is there."""
    made = Announcer("Ada", (cells or Cells()).read)
    made.take()
    return made


def said(announcer: Announcer) -> list[Update]:
    bodies = [decode(body) for body in announcer.take()]
    assert all(isinstance(body, Update) for body in bodies)
    return bodies  # type: ignore[return-value]


def test_the_first_thing_said_is_being_there() -> None:
    assert said(Announcer(" A\u200bda ", str)) == [Update("", Custom(()), "Ada")]
    assert said(Announcer(None, str)) == [Update("", Custom(()), None)]


def test_only_the_latest_place_is_said_and_once() -> None:
    peer = announcer()
    for line in range(100):
        peer.say(Cursor("c", line, 0))
    peer.say(Selection("c", 0, 0, 1, 1))
    assert [update.data for update in said(peer)] == [
        Cursor("c", 99, 0),
        Selection("c", 0, 0, 1, 1),
    ]
    assert said(peer) == []
    peer.place("c", 99)
    assert said(peer) == []
    peer.place("d")
    peer.place("c", 99)
    assert said(peer) == []
    peer.place("d")
    assert [update.data for update in said(peer)] == [Cursor("d", 0, 0)]


lines = st.text(st.sampled_from("ab\u00e9\U0001f600\n"), max_size=12)


@settings(deadline=None)
@given(lines, st.lists(lines, max_size=6))
def test_a_cursor_follows_text_to_its_end_in_characters(source: str, added: list[str]) -> None:
    cells = Cells(c=source)
    peer = announcer(cells)
    peer.replaced("c", source)
    for text in added:
        cells["c"] += text
        peer.appended("c", text)
    *before, last = cells["c"].split("\n")
    assert [update.data for update in said(peer)] == [Cursor("c", len(before), len(last))]
    assert cells.reads == 0


def test_a_text_that_others_write_to_is_read_again() -> None:
    cells = Cells(c="one\ntwo", d="")
    peer = announcer(cells)
    peer.appended("c", "two")
    assert [update.data for update in said(peer)] == [Cursor("c", 1, 3)]
    cells["c"] = "zero\n" + cells["c"] + "!"
    peer.touched(["c"])
    peer.appended("c", "!")
    assert [update.data for update in said(peer)] == [Cursor("c", 2, 4)]
    peer.touched(["d"])
    peer.appended("c", "?")
    assert [update.data for update in said(peer)] == [Cursor("c", 2, 5)]
    assert cells.reads == 2


def test_a_place_that_can_not_be_said_fails_where_it_was_asked_for_and_nowhere_else() -> None:
    peer = announcer()
    with pytest.raises(LocalProtocolError, match="presence too large"):
        peer.say(Cursor("c" * 5000, 0, 0))
    with pytest.raises(LocalProtocolError, match="can't be sent"):
        peer.say(Cursor("\ud800", 0, 0))
    assert said(peer) == []
    peer.place("c" * 5000)  # follows an edit of somebody's strangely named cell
    assert said(peer) == []


def test_others_are_known_as_far_as_they_said_something_and_the_daemon_is_none() -> None:
    peers = RemotePeers()
    kernel = PeerState("daemon", "daemon", [KernelState("idle", "")])
    bob = PeerState("b", "Bob", [Cursor("c", 1, 2), Custom([1])])
    peers.receive(encode(Snapshot("daemon", [kernel, bob])))
    peers.receive(encode(Update("daemon", KernelState("busy", ""), "daemon")))
    peers.receive(encode(Update("a", Selection("c", 0, 0, 0, 0))))
    peers.receive(b"\xff")
    assert peers.labels() == [("a", "peer"), ("b", "Bob")]
    assert peers.cursors() == [("b", "Bob", "c", 1, 2)]
    peers.receive(encode(Update("a", Cursor("d", 0, 0), "Ada")))
    peers.receive(encode(Snapshot("daemon", [PeerState("b", "Bo", [])])))
    assert peers.labels() == [("a", "Ada"), ("b", "Bo")]
    assert peers.cursors() == [("a", "Ada", "d", 0, 0)]
    peers.receive(encode(Left("a")))
    peers.receive(encode(Left("a")))
    assert peers.labels() == [("b", "Bo")]
