"""Three people edit one notebook at once while their messages take their time.

Two machines: around the daemon, as it is, every connection in order but each at its own speed; and
without one, every two of them talking directly, so that changes reach each replica in an order of
its own.
"""

from __future__ import annotations

import itertools
import random
from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.cell_index import CellIndex
from runtimed.document.notebook import NotebookDocument

PEERS = st.integers(0, 2)
PICK = st.integers(0, 30)


class Wire:
    """Two replicas and what is on its way between them, in order in each direction."""

    def __init__(self, *ends: NotebookDocument) -> None:
        self.ends = ends
        self.states = [end.new_peer() for end in ends]
        self.on_the_way: list[deque[bytes]] = [deque(), deque()]

    def send(self, end: int) -> bool:
        message = self.ends[end].generate_sync(self.states[end])
        if message is not None:
            self.on_the_way[end].append(message)
        return message is not None

    def deliver(self, end: int) -> bool:
        if not self.on_the_way[end]:
            return False
        self.ends[1 - end].receive_sync(self.states[1 - end], self.on_the_way[end].popleft())
        return True


class Together(RuleBasedStateMachine):
    """What three replicas do, and what must be true once all messages have arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.daemon = NotebookDocument.create("n", daemon_actor())
        self.peers = [NotebookDocument.empty(client_actor(f"p{n}")) for n in range(3)]
        hub = [Wire(self.daemon, peer) for peer in self.peers]
        self.settle(hub)
        self.wires = self.wired(hub)
        self.numbers = itertools.count()
        self.created: set[str] = set()
        self.deleted: set[str] = set()
        self.written: dict[str, set[str]] = {}

    def wired(self, hub: list[Wire]) -> list[Wire]:
        raise NotImplementedError

    @initialize(count=st.integers(0, 4))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.insert(0, 30)
        self.settle(self.wires)

    def cell(self, peer: int, pick: int) -> str | None:
        ids = self.peers[peer].cell_ids()
        return ids[pick % len(ids)] if ids else None

    def token(self, cell_id: str) -> str:
        """A character that stands nowhere else."""
        token = chr(0x4E00 + next(self.numbers))
        self.written.setdefault(cell_id, set()).add(token)
        return token

    @rule(peer=PEERS, at=PICK)
    def insert(self, peer: int, at: int) -> None:
        cell_id = f"cell-{next(self.numbers)}"
        self.created.add(cell_id)
        self.peers[peer].insert_cell(cell_id, "code", self.token(cell_id), at)

    @rule(peer=PEERS, pick=PICK, where=st.sampled_from(["start", "middle", "end"]))
    def write(self, peer: int, pick: int, where: str) -> None:
        cell_id = self.cell(peer, pick)
        if cell_id is None:
            return
        document, token = self.peers[peer], self.token(cell_id)
        if where == "end":
            document.append_source(cell_id, token)
            return
        old = document.source(cell_id)
        at = len(old) // 2 if where == "middle" else 0
        document.set_source(cell_id, old[:at] + token + old[at:])

    @rule(peer=PEERS, pick=PICK, behind=PICK | st.none())
    def move(self, peer: int, pick: int, behind: int | None) -> None:
        cell_id = self.cell(peer, pick)
        if cell_id is not None:
            after = None if behind is None else self.cell(peer, behind)
            self.peers[peer].move_cell(cell_id, after)

    @rule(peer=PEERS, pick=PICK)
    def delete(self, peer: int, pick: int) -> None:
        cell_id = self.cell(peer, pick)
        if cell_id is not None:
            self.deleted.add(cell_id)
            self.peers[peer].delete_cell(cell_id)

    @rule(wire=PEERS, end=st.integers(0, 1))
    def send(self, wire: int, end: int) -> None:
        self.wires[wire].send(end)

    @rule(wire=PEERS, end=st.integers(0, 1))
    def deliver(self, wire: int, end: int) -> None:
        self.wires[wire].deliver(end)

    def settle(self, wires: list[Wire]) -> None:
        """Until everybody has everything."""
        for _ in range(100):
            moves = [(wire, end) for wire in wires for end in (0, 1)]
            sent = [wire.send(end) for wire, end in moves]
            delivered = [wire.deliver(end) for wire, end in moves]
            if not any(sent) and not any(delivered):
                return
        raise AssertionError("the replicas never come to rest")

    def teardown(self) -> None:
        self.settle(self.wires)
        first, *others = {id(end): end for wire in self.wires for end in wire.ends}.values()
        cells = first.cells()
        order = [(cell.position, cell.id) for cell in cells]
        assert order == sorted(set(order))
        assert {cell.id for cell in cells} == self.created - self.deleted
        for cell in cells:
            assert sorted(cell.source) == sorted(self.written[cell.id])
        for other in others:
            assert other.heads == first.heads
            assert other.cells() == cells
        for document in (first, *others):
            fresh = CellIndex(document._doc)
            assert (document._index.ids, document._index.positions) == (fresh.ids, fresh.positions)
        self.in_any_order(first)

    def in_any_order(self, document: NotebookDocument) -> None:
        """Whoever gets the changes shuffled has the same notebook."""
        chunks = [change.raw_bytes for change in document._doc.get_changes([])]
        random.Random(len(chunks)).shuffle(chunks)
        assert NotebookDocument.load(b"".join(chunks), daemon_actor()).cells() == document.cells()


class AroundTheDaemon(Together):
    def wired(self, hub: list[Wire]) -> list[Wire]:
        return hub


class AmongThemselves(Together):
    def wired(self, hub: list[Wire]) -> list[Wire]:
        return [Wire(*pair) for pair in itertools.combinations(self.peers, 2)]


TestAroundTheDaemon = AroundTheDaemon.TestCase
TestAroundTheDaemon.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
TestAmongThemselves = AmongThemselves.TestCase
TestAmongThemselves.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
