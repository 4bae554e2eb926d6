"""Several replicas of one notebook: they converge, and each knows what the others changed."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Iterable

import pytest
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.cell_index import CellIndex
from runtimed.document.notebook import NotebookDocument, SyncPeer, Touched
from runtimed.errors import RemoteProtocolError, RuntimedError


class Link:
    """Two replicas and the messages between them, which arrive when told to."""

    def __init__(self, left: NotebookDocument, right: NotebookDocument) -> None:
        self.ends = (left, right)
        self.peers: tuple[SyncPeer, SyncPeer] = (left.new_peer(), right.new_peer())
        self.on_the_way: tuple[deque[bytes], deque[bytes]] = (deque(), deque())  # from each end

    def send(self, end: int) -> bool:
        message = self.ends[end].generate_sync(self.peers[end])
        if message is not None:
            self.on_the_way[end].append(message)
        return message is not None

    def deliver(self, end: int) -> Touched | None:
        """Deliver the oldest message sent from an end."""
        if not self.on_the_way[end]:
            return None
        message = self.on_the_way[end].popleft()
        return self.ends[1 - end].receive_sync(self.peers[1 - end], message)

    def settle(self) -> bool:
        """Send and deliver until there is nothing left to say. Returns whether anything was."""
        anything = False
        while any([self.send(0), self.send(1)]) or any(self.on_the_way):
            anything = True
            for end in (0, 1):
                while self.on_the_way[end]:
                    self.deliver(end)
        return anything


def settle(links: Iterable[Link]) -> None:
    links = list(links)
    while sum(link.settle() for link in links):  # all of them, each time
        pass


def check_index(doc: NotebookDocument) -> None:
    """The index that followed every change says what a new one says."""
    fresh = CellIndex(doc._doc)
    assert doc._index.ids == fresh.ids
    assert doc._index.positions == fresh.positions
    fresh_doc = NotebookDocument(doc._doc)
    assert doc.cells() == fresh_doc.cells()
    assert all(doc.outputs(cell_id) == fresh_doc.outputs(cell_id) for cell_id in doc.cell_ids())


def pair() -> tuple[NotebookDocument, NotebookDocument, Link]:
    daemon = NotebookDocument.create("nb", daemon_actor())
    client = NotebookDocument.empty(client_actor("bot"))
    link = Link(daemon, client)
    link.settle()
    return daemon, client, link


# Convergence


def test_a_thousand_random_inserts_and_moves_keep_one_order_on_both_replicas() -> None:
    daemon, client, link = pair()
    generator = random.Random(7)
    for i in range(1000):
        doc = generator.choice((daemon, client))
        ids = doc.cell_ids()
        after = generator.choice([None, *ids])
        if len(ids) < 3 or generator.random() < 0.5:
            doc.insert_cell_after(f"c{i}", "code", "", after)
            assert doc.cell_ids().index(f"c{i}") == (0 if after is None else ids.index(after) + 1)
        else:
            doc.move_cell(generator.choice(ids), after)
        if generator.random() < 0.4:
            end = generator.randrange(2)
            link.send(end)
            link.deliver(generator.randrange(2))
    link.settle()
    assert daemon.cell_ids() == client.cell_ids()
    assert daemon.cells() == client.cells()
    check_index(daemon)
    check_index(client)


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(
            [
                "insert",
                "insert same",
                "delete",
                "move",
                "source",
                "append",
                "output",
                "outputs",
                "metadata",
                "notebook metadata",
                "send",
                "deliver",
                "deliver",
            ]
        ),
        st.integers(0, 7),
    ),
    max_size=40,
)


def edit(doc: NotebookDocument, what: str, n: int, unique: str) -> None:
    ids = doc.cell_ids()
    cell_id = ids[n % len(ids)] if ids else ""
    if what == "insert":
        doc.insert_cell(unique, "code", "x = 1", n)
    elif what == "insert same":
        if f"same{n % 2}" not in doc:
            doc.insert_cell(f"same{n % 2}", "code", unique, n)
    elif what == "notebook metadata":
        doc.set_metadata_snapshot({"runt": {"schema_version": "1", f"k{n % 3}": {"v": unique}}})
    elif not ids:
        pass
    elif what == "delete":
        doc.delete_cell(cell_id)
    elif what == "move":
        doc.move_cell(cell_id, None if n == 0 else ids[-n % len(ids)])
    elif what == "source":
        doc.set_source(cell_id, f"y = {n}\n" * (n % 3) + unique)
    elif what == "append":
        doc.append_source(cell_id, "🙂é"[: n % 3])
    elif what == "output":
        doc.append_output(cell_id, unique)
    elif what == "outputs":
        doc.set_outputs(cell_id, [unique] * (n % 4))
    elif what == "metadata":
        doc.set_cell_metadata_at(cell_id, ["jupyter", f"k{n % 2}"], n)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_three_replicas_converge_whatever_is_late(plan: list[tuple[int, str, int]]) -> None:
    daemon = NotebookDocument.create("nb", daemon_actor())
    daemon.insert_cell("first", "code", "a = 1")
    clients = [NotebookDocument.empty(client_actor("bot")) for _ in range(2)]
    links = [Link(daemon, client) for client in clients]
    settle(links)
    docs = [daemon, *clients]
    for i, (who, what, n) in enumerate(plan):
        link, end = links[max(0, who - 1)], min(who, 1)
        if what == "send":
            link.send(end)
        elif what == "deliver":
            link.deliver(end)
            check_index(link.ends[1 - end])
        else:
            edit(docs[who], what, n, f"u{i}")
    settle(links)
    for doc in docs:
        check_index(doc)
        assert doc.heads == daemon.heads
        assert doc.cells() == daemon.cells()
        assert doc.metadata_snapshot() == daemon.metadata_snapshot()
    assert NotebookDocument.load(daemon.save(), b"again").cells() == daemon.cells()


def test_concurrent_edits_of_one_source_are_merged() -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code", "first = 1\nsecond = 2\n")
    link.settle()
    daemon.set_source("c", "first = 10\nsecond = 2\n")
    client.set_source("c", "first = 1\nsecond = 20\n")
    link.settle()
    assert daemon.source("c") == client.source("c") == "first = 10\nsecond = 20\n"


def test_concurrent_changes_of_different_metadata_fields_are_both_kept() -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code")
    daemon.set_cell_metadata("c", {"jupyter": {"source_hidden": False}, "tags": ["a"]})
    daemon.set_metadata_snapshot({"runt": {"schema_version": "1", "uv": {"dependencies": ["a"]}}})
    link.settle()
    daemon.set_cell_metadata_at("c", ["jupyter", "source_hidden"], True)
    client.set_cell_metadata_at("c", ["jupyter", "outputs_hidden"], True)
    daemon.set_metadata_snapshot(
        {"runt": {"schema_version": "1", "uv": {"dependencies": ["a", "b"]}}}
    )
    client.set_metadata_snapshot(
        {"runt": {"schema_version": "1", "env_id": "x", "uv": {"dependencies": ["a"]}}}
    )
    link.settle()
    assert client.cell_metadata("c") == {
        "jupyter": {"source_hidden": True, "outputs_hidden": True},
        "tags": ["a"],
    }
    assert daemon.metadata_snapshot() == {
        "runt": {"schema_version": "1", "env_id": "x", "uv": {"dependencies": ["a", "b"]}}
    }


def test_two_peers_that_create_the_same_cell_agree_on_one() -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code", "daemon's")
    daemon.append_output("c", "o")
    client.insert_cell("c", "markdown", "client's")
    link.settle()
    assert daemon.cells() == client.cells()
    assert daemon.source("c") in ("daemon's", "client's")
    daemon.set_source("c", "both")
    link.settle()
    assert client.source("c") == "both"
    client.delete_cell("c")
    link.settle()
    assert daemon.cell_ids() == client.cell_ids() == []


def test_a_message_is_never_held_back_because_of_what_the_peer_just_changed() -> None:
    # A Bloom filter in each message makes the library do this in one of a hundred cases.
    daemon, client, link = pair()
    for i in range(300):
        daemon.insert_cell(f"d{i}", "code")
        client.insert_cell(f"c{i}", "code")
        for end, new in ((0, f"d{i}"), (1, f"c{i}")):
            assert link.send(end)
            found = link.deliver(end)
            assert found is not None
            assert new in found.cells


# What changed


def test_a_received_change_says_what_it_touched() -> None:
    daemon, _, link = pair()

    def seen() -> Touched:
        link.send(0)
        found = link.deliver(0)
        assert found is not None
        link.settle()
        return found

    daemon.insert_cell("a", "code", "x")
    assert seen() == Touched(frozenset({"a"}), order=True)
    daemon.insert_cell("b", "code", "x")
    assert seen() == Touched(frozenset({"b"}), order=True)
    daemon.set_source("a", "y")
    assert seen() == Touched(frozenset({"a"}))
    daemon.append_output("b", "o")
    assert seen() == Touched(frozenset({"b"}))
    daemon.set_cell_metadata("a", {"deep": {"deeper": [1]}})
    assert seen() == Touched(frozenset({"a"}))
    daemon.set_cell_metadata("a", {"deep": {"deeper": [1, 2]}})
    assert seen() == Touched(frozenset({"a"}))
    daemon.move_cell("b", None)
    assert seen() == Touched(frozenset({"b"}), order=True)
    daemon.set_metadata_snapshot({"runt": {"schema_version": "1"}})
    assert seen() == Touched(metadata=True)
    daemon.set_metadata_snapshot({"runt": {"schema_version": "1", "env_id": "x"}})
    assert seen() == Touched(metadata=True)
    daemon.delete_cell("a")
    assert seen() == Touched(frozenset({"a"}), order=True)
    assert not Touched()


def test_changes_in_cells_that_came_from_a_file_are_seen() -> None:
    daemon, _, _ = pair()
    daemon.insert_cell("a", "code", "x")
    daemon.set_cell_metadata("a", {"deep": {"x": 1}})
    daemon.set_metadata_snapshot({"runt": {"schema_version": "1", "uv": {"dependencies": []}}})
    loaded = NotebookDocument.load(daemon.save(), daemon_actor())
    client = NotebookDocument.empty(client_actor())
    link = Link(loaded, client)
    link.settle()
    client.set_source("a", "y")
    link.send(1)
    assert link.deliver(1) == Touched(frozenset({"a"}))
    link.settle()
    client.set_cell_metadata_at("a", ["deep", "x"], 2)
    link.send(1)
    assert link.deliver(1) == Touched(frozenset({"a"}))
    link.settle()
    client.set_metadata_snapshot({"runt": {"schema_version": "1", "uv": {"dependencies": ["a"]}}})
    link.send(1)
    assert link.deliver(1) == Touched(metadata=True)
    check_index(loaded)


def test_a_first_sync_touches_everything() -> None:
    daemon = NotebookDocument.create("nb", daemon_actor())
    for i in range(100):
        daemon.insert_cell(f"c{i}", "code")
    client = NotebookDocument.empty(client_actor())
    link = Link(daemon, client)
    found = []
    while link.send(0) | link.send(1):
        found += [link.deliver(0), link.deliver(1)]
    touched = [one for one in found if one]
    assert touched == [Touched(frozenset(daemon.cell_ids()), order=True, metadata=True)]


def test_outputs_are_fresh_after_a_peer_changed_them() -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code")
    daemon.set_outputs("c", ["a", "b"])
    link.settle()
    client.clear_outputs("c")
    client.append_output("c", "z")
    link.settle()
    assert daemon.outputs("c") == ["z"]
    daemon.append_output("c", "y")
    assert daemon.outputs("c") == ["z", "y"]


def test_a_cell_behind_a_conflict_comes_to_light_when_the_other_is_deleted() -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code", "daemon's")
    client.insert_cell("c", "code", "client's")
    third = NotebookDocument.load(client.save(), b"third")
    link.settle()
    winner = daemon.source("c")
    loaded = NotebookDocument.load(daemon.save(), daemon_actor())
    if winner == "client's":
        third.delete_cell("c")  # deletes the client's only
        again = Link(loaded, third)
        again.settle()
        assert loaded.source("c") == third.source("c") == "daemon's"
        loaded.set_source("c", "seen")
        again.settle()
        third.set_source("c", "seen by both")
        again.send(1)
        assert again.deliver(1) == Touched(frozenset({"c"}))
    check_index(loaded)


# Peers that do wrong


@pytest.mark.parametrize(
    "junk", [b"", b"junk", b"\x42", b"\x43\x01" + b"\0" * 10, b"\x42\xff" * 40]
)
def test_garbage_is_the_fault_of_the_peer_and_does_no_harm(junk: bytes) -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code")
    heads = daemon.heads
    with pytest.raises(RemoteProtocolError, match="Invalid sync message"):
        daemon.receive_sync(link.peers[0], junk)
    assert daemon.heads == heads
    link.settle()
    assert client.cell_ids() == ["c"]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_mutated_messages_do_no_harm(data: st.DataObject) -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code", "x")
    link.settle()
    client.set_source("c", "xy")
    message = bytearray(client.generate_sync(link.peers[1]) or b"")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        message[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    try:
        daemon.receive_sync(link.peers[0], bytes(message[:cut]))
    except RemoteProtocolError:
        pass
    check_index(daemon)
    daemon.append_output("c", "o")
    again = Link(daemon, client)
    again.settle()
    assert client.cells() == daemon.cells()
    assert client.source("c") == "xy"


def test_changes_that_make_the_library_panic_are_refused_and_nothing_is_lost(
    capfd: pytest.CaptureFixture[str],
) -> None:
    daemon, _, _ = pair()
    daemon.insert_cell("c", "code", "x")
    evil = Document(b"evil")
    with evil.transaction() as t:
        obj = t.put_object(ROOT, "o", ObjType.Map)
    with evil.transaction() as t:
        t.put(obj, "k", ScalarType.Int, 1)
    first, second = (change.raw_bytes for change in evil.get_changes([]))
    refused = 0
    for at in range(40, len(second)):
        # Well-formed to the checksum; but, for one, an operation names an actor nobody listed.
        chunk = bytearray(second)
        chunk[at] = 0x21
        digest = hashlib.sha256(chunk[8:]).digest()
        chunk[4:8] = digest[:4]
        changes = bytes([2, len(first)]) + first + bytes([len(chunk)]) + chunk
        try:
            daemon.receive_sync(daemon.new_peer(), b"\x42\x01" + digest + b"\0\0" + changes)
        except RemoteProtocolError:
            refused += 1
        daemon.append_output("c", str(at))
    assert refused
    assert daemon.source("c") == "x"
    assert daemon.outputs("c") == [str(at) for at in range(40, len(second))]
    daemon.insert_cell("d", "code")
    loaded = NotebookDocument.load(daemon.save(), b"again")
    assert loaded.cells() == daemon.cells()
    assert loaded.cell_ids() == ["c", "d"]
    capfd.readouterr()  # the library tells its panics to stderr


def test_a_peer_that_deletes_the_root_leaves_an_empty_notebook_not_a_broken_one() -> None:
    daemon, client, link = pair()
    daemon.insert_cell("c", "code")
    link.settle()
    with client._doc.transaction() as t:
        t.put(ROOT, "cells", ScalarType.Str, "gone")
        t.delete(ROOT, "metadata")
    client._set_heads()
    link.settle()
    assert daemon.cell_ids() == []
    assert daemon.metadata_snapshot() is None
    with pytest.raises(RuntimedError):
        daemon.insert_cell("d", "code")


def test_a_cell_that_gets_its_id_later_appears_then() -> None:
    daemon, client, link = pair()
    cells = client._doc.get(ROOT, "cells")
    assert cells is not None
    with client._doc.transaction() as t:
        cell = t.put_object(cells[1], "c", ObjType.Map)
    client._set_heads()
    link.settle()
    assert daemon.cell_ids() == []
    with client._doc.transaction() as t:
        t.put(cell, "id", ScalarType.Str, "c")
    client._set_heads()
    link.send(1)
    assert link.deliver(1) == Touched(frozenset({"c"}), order=True)
    assert daemon.cell_ids() == ["c"]
    check_index(daemon)
