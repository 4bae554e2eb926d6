"""Presence of a room as a pure table: snapshots that fit, labels, expiry."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.protocol.presence import (
    MAX_BODY,
    ChannelData,
    Cursor,
    Custom,
    KernelState,
    PeerState,
    Selection,
    Snapshot,
    Update,
    channel_of,
    decode,
)
from runtimed.rooms.presence_table import TIME_TO_LIVE, PresenceTable

NOT_STARTED = PeerState("daemon", "daemon", [KernelState("not_started", "")])


def told(bodies: Sequence[bytes]) -> dict[str, tuple[str, dict[str, ChannelData]]]:
    """What a client knows that applies these bodies by the rules."""
    known: dict[str, tuple[str, dict[str, ChannelData]]] = {}
    for body in bodies:
        assert len(body) <= MAX_BODY
        message = decode(body)
        if isinstance(message, Snapshot):
            assert message.peer_id == "daemon"
            for peer in message.peers:
                known[peer.peer_id] = (peer.label, {channel_of(d): d for d in peer.channels})
        else:
            assert isinstance(message, Update)
            known[message.peer_id][1][channel_of(message.data)] = message.data
    return known


def test_an_update_is_told_under_the_real_id_with_a_clean_label() -> None:
    table = PresenceTable()
    said = Update("somebody else", Cursor("c", 1, 2), "  A\u200bda ")
    body = table.update("real", said, 0)
    assert body is not None
    assert decode(body) == Update("real", Cursor("c", 1, 2), "Ada")


def test_a_snapshot_has_everybody_but_the_receiver() -> None:
    table = PresenceTable()
    table.update("a", Update("", Cursor("c", 0, 0), "Ada"), 0)
    table.update("b", Update("", Selection("c", 0, 0, 1, 1)), 0)
    table.update("b", Update("", Cursor("c", 9, 9)), 0)
    table.update("b", Update("", Cursor("c", 1, 1)), 0)
    [for_a] = table.snapshot("a")
    b = PeerState("b", "peer", [Selection("c", 0, 0, 1, 1), Cursor("c", 1, 1)])
    assert decode(for_a) == Snapshot("daemon", [NOT_STARTED, b])
    [for_b] = table.snapshot("b")
    a = PeerState("a", "Ada", [Cursor("c", 0, 0)])
    assert decode(for_b) == Snapshot("daemon", [NOT_STARTED, a])


def test_the_kernel_is_in_every_snapshot_and_never_expires() -> None:
    table = PresenceTable()
    assert table.set_kernel(KernelState("not_started", "")) is None
    body = table.set_kernel(KernelState("busy", "uv:prewarmed"))
    assert body is not None
    assert decode(body) == Update("daemon", KernelState("busy", "uv:prewarmed"), "daemon")
    assert table.expire(1e9) == []
    [snapshot] = table.snapshot("a")
    kernel = PeerState("daemon", "daemon", [KernelState("busy", "uv:prewarmed")])
    assert decode(snapshot) == Snapshot("daemon", [kernel])


def test_no_peer_speaks_for_the_kernel() -> None:
    table = PresenceTable()
    assert table.update("a", Update("", KernelState("idle", "")), 0) is None
    assert "a" not in table


def test_a_peer_expires_when_it_has_not_been_seen_for_its_time_to_live() -> None:
    table = PresenceTable()
    table.update("a", Update("", Custom([])), 0)
    table.update("b", Update("", Custom([])), 0)
    table.seen(["b", "never heard of"], 10)
    assert table.expire(TIME_TO_LIVE) == []
    assert table.expire(TIME_TO_LIVE + 1) == ["a"]
    assert table.expire(TIME_TO_LIVE + 1) == []
    table.update("b", Update("", Custom([])), 20)
    assert table.expire(TIME_TO_LIVE + 20) == []
    assert "never heard of" not in table
    assert list(told(table.snapshot(""))) == ["daemon", "b"]


def test_a_peer_that_has_gone_is_forgotten_once() -> None:
    table = PresenceTable()
    table.update("a", Update("", Custom([])), 0)
    assert table.remove("a")
    assert not table.remove("a")
    assert list(told(table.snapshot(""))) == ["daemon"]


def test_what_would_fit_into_no_snapshot_is_not_taken_in() -> None:
    """A client's frame has room for what, with the real id and label, there is none for."""
    table = PresenceTable()
    accepted = [
        size
        for size in range(3800, 4096)
        if table.update("p" * 36, Update("", Cursor("c" * size, 0, 0), "l" * 64), 0) is not None
    ]
    assert accepted == list(range(3800, 3800 + len(accepted)))
    assert 3800 + len(accepted) < 4000
    assert told(table.snapshot(""))["p" * 36][1]["cursor"] == Cursor("c" * accepted[-1], 0, 0)


cells = st.builds(
    lambda letter, size: letter * size, st.sampled_from("ab\u00e9"), st.integers(0, 4000)
)
said = st.tuples(
    st.integers(0, 60),
    st.one_of(
        st.builds(Cursor, cells, st.just(1), st.just(2)),
        st.builds(Selection, cells, st.just(1), st.just(2), st.just(3), st.just(2**32 - 1)),
        st.builds(lambda size: Custom([2**40] * size), st.integers(0, 450)),
    ),
    st.none() | st.text(max_size=64),
)


@settings(deadline=None)
@given(st.lists(said, max_size=120))
def test_snapshots_tell_everything_in_bodies_that_fit(
    updates: list[tuple[int, ChannelData, str | None]],
) -> None:
    table = PresenceTable()
    model: dict[str, tuple[str, dict[str, ChannelData]]] = {}
    for number, data, label in updates:
        peer_id = f"{number:036}"
        body = table.update(peer_id, Update("", data, label), 0)
        if body is not None:
            message = decode(body)
            assert isinstance(message, Update)
            assert message.label is not None
            channels = model.get(peer_id, ("", {}))[1]
            model[peer_id] = (message.label, channels | {channel_of(data): data})
    for receiver in ("", *list(model)[:3]):
        known = told(table.snapshot(receiver))
        del known["daemon"]
        assert known == {peer_id: model[peer_id] for peer_id in model if peer_id != receiver}


@pytest.mark.parametrize("count", [1, 30, 300, 3000])
def test_a_snapshot_of_many_is_cut_between_peers_into_full_bodies(count: int) -> None:
    table = PresenceTable()
    for number in range(count):
        table.update(f"{number:036}", Update("", Cursor("cell", 0, number), "x"), 0)
    bodies = table.snapshot("")
    assert len(told(bodies)) == count + 1
    size = sum(map(len, bodies))
    assert len(bodies) <= size // (MAX_BODY - 200) + 1
