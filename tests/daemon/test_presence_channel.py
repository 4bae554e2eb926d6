"""Presence through the daemon's edges: who is told what, in which order, and how much of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
import trio
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.protocol import events, handshake, requests, responses
from runtimed.protocol.presence import (
    MAX_BODY,
    Cursor,
    Custom,
    Heartbeat,
    KernelState,
    Left,
    PresenceBody,
    Selection,
    Snapshot,
    Update,
    decode,
    encode,
)
from wire_peer import WirePeer


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Loopback]:
    async with open_loopback(tmp_path) as loopback:
        yield loopback


async def say(peer: WirePeer, *messages: PresenceBody) -> None:
    for message in messages:
        await peer.send(events.PresenceMessage(encode(message)))


def at(line: int, column: int = 0, cell_id: str = "c") -> Update:
    return Update("", Cursor(cell_id, line, column), "Ada")


async def hear_presence(peer: WirePeer) -> PresenceBody:
    event = await peer.hear(lambda event: isinstance(event, events.PresenceMessage))
    return decode(event.data)


async def hear_update(peer: WirePeer) -> Update:
    """The next update of another peer; snapshots and the kernel's state are skipped."""
    while True:
        message = await hear_presence(peer)
        if isinstance(message, Update) and message.peer_id != "daemon":
            return message


def presence(peer: WirePeer) -> list[PresenceBody]:
    """All presence heard so far."""
    return [decode(e.data) for e in peer.heard if isinstance(e, events.PresenceMessage)]


async def quiet(peer: WirePeer) -> list[PresenceBody]:
    """What arrives until everybody rests; everything that was due has been sent then."""
    before = len(presence(peer))
    await trio.sleep(0.05)
    await peer.ask(requests.GetQueueState())
    return presence(peer)[before:]


async def test_one_who_joins_is_sent_the_document_first_and_then_who_is_there(
    daemon: Loopback,
) -> None:
    ada = await daemon.join("room")
    await say(ada, at(1))
    await quiet(ada)
    peer = daemon.connect()
    await peer.open(handshake.NotebookSync("room"))
    assert isinstance(await peer.next_event(), events.SyncMessage)
    event = await peer.next_event()
    assert isinstance(event, events.PresenceMessage)
    snapshot = decode(event.data)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.peer_id == "daemon"
    kernel, other = snapshot.peers
    assert kernel.peer_id == kernel.label == "daemon"
    assert kernel.channels == (KernelState("not_started", ""),)
    assert other.label == "Ada"
    assert other.channels == (Cursor("c", 1, 0),)


async def test_an_update_goes_to_all_others_under_the_id_that_the_daemon_gave(
    daemon: Loopback,
) -> None:
    ada, bob, eve = [await daemon.join("room") for _ in range(3)]
    elsewhere = await daemon.join("another room")
    selection = Selection("c", 0, 1, 2, 3)
    await say(ada, Update("not me", selection, " A\u200bda "), Update("", Custom([1, 2]), None))
    heard = [await hear_update(peer) for peer in (bob, bob, eve, eve)]
    peer_id = heard[0].peer_id
    assert len(peer_id) == 36
    assert heard[:2] == heard[2:]
    assert heard[:2] == [
        Update(peer_id, selection, "Ada"),
        Update(peer_id, Custom([1, 2]), "peer"),
    ]
    for peer in (ada, elsewhere):
        await quiet(peer)
        snapshots = [m for m in presence(peer) if isinstance(m, Snapshot)]
        assert snapshots == presence(peer)
        assert all(listed.peer_id == "daemon" for m in snapshots for listed in m.peers)


async def test_the_first_update_of_a_peer_is_answered_with_who_is_there(daemon: Loopback) -> None:
    """Peers that ignore presence until their document is complete would not know otherwise."""
    ada, bob = await daemon.join("room"), await daemon.join("room")
    await say(ada, at(1))
    await hear_update(bob)
    await say(bob, at(2))
    snapshot = await hear_presence(bob)
    assert isinstance(snapshot, Snapshot)
    assert [peer.label for peer in snapshot.peers] == ["daemon", "Ada"]
    await say(bob, at(3))
    assert await quiet(bob) == []


async def test_one_who_leaves_is_withdrawn_if_it_ever_said_anything(daemon: Loopback) -> None:
    ada, silent, bob = [await daemon.join("room") for _ in range(3)]
    await say(ada, at(1))
    peer_id = (await hear_update(bob)).peer_id
    await silent.stream.aclose()
    await ada.stream.aclose()
    assert await hear_presence(bob) == Left(peer_id)
    assert await quiet(bob) == []
    late = await daemon.join("room")
    await quiet(late)
    [snapshot] = presence(late)
    assert isinstance(snapshot, Snapshot)
    assert [peer.peer_id for peer in snapshot.peers] == ["daemon"]


async def test_one_who_left_is_withdrawn_also_where_everybody_is_told_anew(
    daemon: Loopback,
) -> None:
    ada, bob = await daemon.join("room"), await daemon.join("room")
    await say(ada, at(1))
    peer_id = (await hear_update(bob)).peer_id
    await ada.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    await say(bob, at(2))  # his first words, answered by a snapshot before he has heard of the end
    assert await hear_presence(bob) == Left(peer_id)
    assert isinstance(await hear_presence(bob), Snapshot)


async def test_what_makes_no_sense_is_ignored_and_the_connection_lives(daemon: Loopback) -> None:
    ada, bob = await daemon.join("room"), await daemon.join("room")
    await quiet(bob)
    nonsense: list[bytes] = [
        b"",
        b"\xff",
        b"\x81" * 4000,
        b"\x9b" + b"\x7f" * 8,
        b"{}",
        cbor2.dumps({"type": "update", "peer_id": "p", "channel": "cursor", "data": {}}),
        cbor2.dumps({"type": "update", "peer_id": "p", "channel": "custom", "data": b"ab"}),
        encode(at(1)) + b"x" * MAX_BODY,
        encode(Update("", Cursor("c" * 4000, 0, 0))),  # too large under the real id
        encode(Update("daemon", KernelState("errored", "conda"), "daemon")),
        encode(Snapshot("daemon", [])),
        encode(Left("daemon")),
        encode(Heartbeat("x")),
    ]
    for body in nonsense:
        await ada.send(events.PresenceMessage(body))
    assert isinstance(await ada.ask(requests.GetQueueState()), responses.QueueState)
    assert await quiet(bob) == []
    await say(ada, at(7))
    assert (await hear_update(bob)).data == Cursor("c", 7, 0)


async def test_of_a_flood_of_moves_a_slow_peer_gets_the_last(daemon: Loopback) -> None:
    ada = await daemon.join("room")
    bob = await daemon.join("room")
    slow = daemon.connect(trio.testing.lockstep_stream_pair)
    await slow.join("room")
    # Its writer is stuck in the middle of this from now on.
    ada.replica.document.insert_cell("c", "code", "x")
    await ada.sync()
    await trio.sleep(0.05)
    for line in range(3000):
        await say(ada, at(line))
    await say(bob, Update("", Cursor("c", 1, 1), "Bob"))
    await bob.ask(requests.GetQueueState())
    await ada.ask(requests.GetQueueState())
    await trio.testing.wait_all_tasks_blocked()
    heard_before = len(presence(slow))
    wanted = {"Ada": Cursor("c", 2999, 0), "Bob": Cursor("c", 1, 1)}
    found: dict[str, Any] = {}
    while found != wanted:
        update = await hear_update(slow)
        found[update.label or ""] = update.data
    assert len(presence(slow)) - heard_before <= 6


async def test_a_burst_of_moves_reaches_a_quick_peer_as_few_frames(daemon: Loopback) -> None:
    ada, bob = await daemon.join("room"), await daemon.join("room")
    frames = b"".join(
        ada.connection.send(events.PresenceMessage(encode(at(line)))) for line in range(1000)
    )
    await ada.stream.send_all(frames)
    while (await hear_update(bob)).data != Cursor("c", 999, 0):
        pass
    assert len([m for m in presence(bob) if isinstance(m, Update)]) < 50


# The kernel


async def kernel_states(peer: WirePeer) -> list[str]:
    """The kernel's states that have arrived since the last call, once everything rests."""
    await quiet(peer)
    heard = presence(peer)
    peer.heard.clear()
    return [
        message.data.status
        for message in heard
        if isinstance(message, Update) and isinstance(message.data, KernelState)
    ]


async def kernel_as_a_late_joiner_sees_it(daemon: Loopback) -> KernelState:
    late = await daemon.join("room")
    await quiet(late)
    snapshot = presence(late)[0]
    assert isinstance(snapshot, Snapshot)
    await late.stream.aclose()
    [state] = snapshot.peers[0].channels
    assert isinstance(state, KernelState)
    return state


async def test_the_kernel_is_followed_through_its_life_and_late_joiners_are_told(
    daemon: Loopback,
) -> None:
    peer = await daemon.join("room")
    assert await kernel_as_a_late_joiner_sees_it(daemon) == KernelState("not_started", "")
    daemon.kernels.hold = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(WirePeer.ask, await daemon.join("room"), LAUNCH)
        assert await kernel_states(peer) == ["starting"]
        assert await kernel_as_a_late_joiner_sees_it(daemon) == KernelState("starting", "")
        daemon.kernels.hold.set()
    assert await kernel_states(peer) == ["idle"]
    assert await kernel_as_a_late_joiner_sees_it(daemon) == KernelState("idle", "uv:prewarmed")
    peer.replica.document.insert_cell("c", "code", "wait")
    await peer.sync()
    await peer.ask(requests.ExecuteCell("c"))
    assert await kernel_states(peer) == ["busy"]
    assert await kernel_as_a_late_joiner_sees_it(daemon) == KernelState("busy", "uv:prewarmed")
    daemon.kernels.launched[0].finish()
    assert await kernel_states(peer) == ["idle"]
    daemon.kernels.launched[0].die()
    assert await kernel_states(peer) == ["errored"]
    assert await kernel_as_a_late_joiner_sees_it(daemon) == KernelState("errored", "uv:prewarmed")
    await peer.ask(LAUNCH)
    assert (await kernel_states(peer))[-1] == "idle"
    await peer.ask(requests.ShutdownKernel())
    assert await kernel_states(peer) == ["shutdown"]
    assert await kernel_as_a_late_joiner_sees_it(daemon) == KernelState("shutdown", "uv:prewarmed")
    daemon.kernels.refuse = "no room left"
    await peer.ask(LAUNCH)
    assert (await kernel_states(peer))[-1] == "errored"


LAUNCH = requests.LaunchKernel("python", "auto")


async def test_short_cells_are_no_news_of_the_kernel(daemon: Loopback) -> None:
    peer = await daemon.join("room")
    peer.replica.document.insert_cell("c", "code", "print 1")
    await peer.sync()
    await peer.ask(LAUNCH)
    await quiet(peer)
    before = len(presence(peer))
    for _ in range(100):
        await peer.ask(requests.ExecuteCell("c"))
        await peer.hear_done("c")
        peer.heard = [e for e in peer.heard if isinstance(e, events.PresenceMessage)]
    await quiet(peer)
    assert len(presence(peer)) - before <= 20  # a slow machine may publish in the middle of some


async def test_presence_brings_nobody_a_message_that_is_not_due_anyway(daemon: Loopback) -> None:
    """The state of the kernel is written together with the broadcasts that tell the same."""
    writes: list[bytes] = []
    peer = await daemon.join("room")
    peer.replica.document.insert_cell("c", "code", "wait")
    await peer.sync()
    await peer.ask(LAUNCH)
    await quiet(peer)
    receive = peer.stream.receive_some

    async def counting(max_bytes: int | None = None) -> bytes | bytearray:
        data = await receive(max_bytes)
        writes.append(bytes(data))
        return data

    peer.stream.receive_some = counting  # type: ignore[method-assign]
    await peer.ask(requests.ExecuteCell("c"))
    await quiet(peer)
    [with_presence] = [data for data in writes if b"kernel_state" in data]
    assert b'"kernel_status"' in with_presence


# Time


async def pass_time(clock: trio.testing.MockClock, seconds: int) -> None:
    for _ in range(seconds):
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(1)
    await trio.testing.wait_all_tasks_blocked()


async def test_a_connected_peer_needs_no_heartbeat_and_the_kernel_none_at_all(
    daemon: Loopback, mock_clock: trio.testing.MockClock
) -> None:
    ada, bob = await daemon.join("room"), await daemon.join("room")
    await say(ada, at(1))
    await ada.ask(LAUNCH)
    await pass_time(mock_clock, 600)
    late = daemon.connect()
    await late.open(handshake.NotebookSync("room"))
    snapshot = await hear_presence(late)
    assert isinstance(snapshot, Snapshot)
    assert [peer.label for peer in snapshot.peers] == ["daemon", "Ada"]
    assert snapshot.peers[0].channels == (KernelState("idle", "uv:prewarmed"),)
    await bob.ask(requests.GetQueueState())
    assert not [message for message in presence(bob) if isinstance(message, Left)]


async def test_a_peer_whose_end_was_not_noticed_expires(
    daemon: Loopback, mock_clock: trio.testing.MockClock
) -> None:
    ada, bob = await daemon.join("room"), await daemon.join("room")
    await say(ada, at(1))
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(0.1)
    update = await hear_update(bob)
    room = daemon.rooms.find("room")
    assert room is not None
    [lost] = [peer for peer in room.peers if peer.id == update.peer_id]
    room.peers.remove(lost)
    await pass_time(mock_clock, 44)
    assert presence(bob)[-1] == update
    await pass_time(mock_clock, 20)
    assert await hear_presence(bob) == Left(update.peer_id)
