"""How much may wait for a peer."""

from __future__ import annotations

import pytest

from runtimed.document.notebook import NotebookDocument
from runtimed.rooms import peer as room_peer
from runtimed.rooms.peer import Peer


def make_peer() -> Peer:
    return Peer(NotebookDocument.create("n", b"a" * 16).new_peer())


def test_one_large_frame_is_no_reason_to_drop_a_peer_but_more_behind_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_peer, "OUTBOX_BYTES", 1000)
    peer = make_peer()
    peer.post_sync(b"s" * 2000)
    peer.post((b"large" * 400,))
    assert not peer.overrun
    assert [len(frame) for frame in peer.take()] == [2000, 2000]
    peer.post((b"large" * 400,))
    peer.post((b"more",))
    assert peer.overrun
