"""Presence as a state machine: peers come, say things, go, read late or not at all for a while.

Once everything has been written, each of them knows exactly what there is to know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from runtimed.client.presence import RemotePeers
from runtimed.protocol.frames import FrameKind, FrameReader
from runtimed.protocol.presence import (
    MAX_BODY,
    ChannelData,
    Cursor,
    Custom,
    KernelState,
    Left,
    Selection,
    Snapshot,
    Update,
    channel_of,
    clean_label,
    decode,
    encode,
)
from runtimed.rooms.peer import Peer
from runtimed.rooms.presence import RoomPresence

T = TypeVar("T")

#: What is known of a peer: its label, and its value on each channel.
Known = tuple[str, dict[str, ChannelData]]

small = st.integers(0, 3)
values = st.one_of(
    st.builds(Cursor, st.sampled_from(["c", "d", "x" * 1800]), small, small),
    st.builds(Selection, st.sampled_from(["c", "y" * 1900]), small, small, small, small),
    st.builds(Custom, st.sampled_from([(), (1, 2, 3), (2**40,) * 200])),
)
nonsense = st.one_of(
    st.binary(max_size=60),
    st.just(encode(Update("daemon", KernelState("errored", "said by a peer")))),
    st.just(encode(Left("daemon"))),
)
labels = st.sampled_from([None, "Ada", " Bob\u200b ", "\u202e"])


@attrs.define(eq=False)
class Client:
    """A peer and what it knows, by the rules for clients taken literally."""

    peer: Peer
    stock: bool
    """Ignores presence until its document is here, as stock clients do."""
    said_something: bool = False
    known: dict[str, Known] = attrs.field(factory=dict)
    view: RemotePeers = attrs.field(factory=RemotePeers)

    def hear(self, body: bytes) -> None:
        assert len(body) <= MAX_BODY
        if self.stock and not self.said_something:
            return
        self.view.receive(body)
        message = decode(body)
        if isinstance(message, Update):
            channels = self.known.get(message.peer_id, ("", {}))[1]
            channels[channel_of(message.data)] = message.data
            self.known[message.peer_id] = (message.label or "peer", channels)
        elif isinstance(message, Snapshot):
            for peer in message.peers:
                self.known[peer.peer_id] = (peer.label, {channel_of(d): d for d in peer.channels})
        else:
            assert isinstance(message, Left)
            self.known.pop(message.peer_id, None)


class PresenceMachine(RuleBasedStateMachine):
    """The real table, outboxes and client's view; a dictionary for a model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = trio.testing.MockClock()
        self.peers: set[Peer] = set()
        self.room = RoomPresence(self.peers)
        self.here: dict[Peer, Client] = {}
        self.model: dict[str, Known] = {}
        self.kernel_now = KernelState("not_started", "")

    def on_trio(self, step: Callable[[], T]) -> T:
        """Run a step where there is a time; nothing in it waits."""

        async def run() -> T:
            return step()

        return trio.run(run, clock=self.clock)

    def one(self, number: int) -> Client:
        """One of those who are here."""
        clients = list(self.here.values())
        return clients[number % len(clients)]

    @precondition(lambda self: len(self.here) < 4)
    @rule(stock=st.booleans())
    def join(self, stock: bool) -> None:
        sync: Any = None
        client = Client(Peer(sync), stock)
        self.peers.add(client.peer)
        self.here[client.peer] = client

    @precondition(lambda self: self.here)
    @rule(number=small, data=values, label=labels)
    def say(self, number: int, data: ChannelData, label: str | None) -> None:
        client = self.one(number)
        client.said_something = True
        body = encode(Update("whatever", data, label))
        self.on_trio(lambda: self.room.receive(client.peer, body))
        channels = self.model.get(client.peer.id, ("", {}))[1]
        channels[channel_of(data)] = data
        self.model[client.peer.id] = (clean_label(label), channels)

    @precondition(lambda self: self.here)
    @rule(number=small, body=nonsense)
    def talk_nonsense(self, number: int, body: bytes) -> None:
        self.on_trio(lambda: self.room.receive(self.one(number).peer, body))

    @precondition(lambda self: self.here)
    @rule(number=small)
    def leave(self, number: int) -> None:
        client = self.one(number)
        del self.here[client.peer]
        self.peers.discard(client.peer)
        self.on_trio(lambda: self.room.left(client.peer))
        self.model.pop(client.peer.id, None)

    @precondition(lambda self: self.here)
    @rule(number=small)
    def read(self, number: int) -> None:
        client = self.one(number)
        for body in self.written(client.peer):
            client.hear(body)

    @rule(status=st.sampled_from(["starting", "idle", "busy", "shutdown", "errored"]))
    def kernel_changes(self, status: str) -> None:
        self.on_trio(lambda: self.room.kernel_state(status, "uv:prewarmed"))
        self.kernel_now = KernelState(status, "uv:prewarmed")

    def written(self, peer: Peer) -> list[bytes]:
        """The bodies that the connection's writer would write now."""
        reader = FrameReader()
        for frame in self.on_trio(lambda: self.room.take(peer)):
            reader.receive_data(frame)
        bodies = []
        while (typed := reader.next_typed_frame()) is not None:
            kind, body = typed
            assert kind == FrameKind.PRESENCE
            bodies.append(body)
        return bodies

    def teardown(self) -> None:
        for number, client in enumerate(self.here.values()):
            if client.stock and not client.said_something:
                self.say(number, Custom(()), None)
        for number, client in enumerate(self.here.values()):
            self.read(number)
            others = {k: v for k, v in self.model.items() if k != client.peer.id}
            kernel = {"daemon": ("daemon", {"kernel_state": self.kernel_now})}
            assert client.known == others | kernel
            assert client.view.labels() == sorted((k, label) for k, (label, _) in others.items())
            assert [cursor[0] for cursor in client.view.cursors()] == sorted(
                k for k, (_, channels) in others.items() if "cursor" in channels
            )
            assert self.written(client.peer) == []


PresenceMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPresence = PresenceMachine.TestCase
TestPresence.__name__ = "test_views_equal_the_model_once_quiet"
