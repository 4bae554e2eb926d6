"""Any order of edits by two peers and a text editor, of saves and pauses: nothing is lost."""

from __future__ import annotations

import copy
import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import orjson
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_files import cell, notebook, open_file, pass_time
from trio.testing import MockClock

from loopback import Loopback, open_loopback
from runtimed.protocol import requests
from wire_peer import WirePeer

STEPS = [
    "peer edits", "peer inserts", "peer moves", "peer deletes", "peer sends",
    "editor reads", "editor edits", "editor inserts", "editor moves", "editor deletes",
    "editor writes", "editor writes in place", "save", "moment", "rest",
]  # fmt: skip


class Story:
    """One run of the machine: who wrote what, and who deleted which cell."""

    def __init__(self, daemon: Loopback, path: Path, peers: list[WirePeer], seed: int) -> None:
        self.daemon, self.path, self.peers = daemon, path, peers
        self.random = random.Random(seed)
        self.read: Any = None
        self.editor: Any = None
        self.names = itertools.count(1000)
        self.written: dict[str, str] = {}  # word -> the cell it was written into
        self.unwritten: dict[str, str] = {}  # the editor's, before it writes its file
        self.cells = {"a", "b", "c"}
        self.unwritten_cells: set[str] = set()
        self.deleted: set[str] = set()

    async def step(self, clock: MockClock, what: str) -> None:
        who, _, does = what.partition(" ")
        if who == "peer":
            await self.peer_step(self.random.choice(self.peers), does)
        elif who == "editor":
            await self.editor_step(does)
        elif who == "save":
            await self.peers[0].ask(requests.SaveNotebook(False))
        else:
            await pass_time(clock, self.daemon, 1.0 if who == "moment" else 3)

    async def peer_step(self, peer: WirePeer, does: str) -> None:
        document = peer.replica.document
        cell_ids = document.cell_ids()
        if does == "sends":
            await peer.sync()
        elif does == "inserts":
            word = f"w{next(self.names)}"
            self.written[word] = f"cell-{word}"
            self.cells.add(f"cell-{word}")
            document.insert_cell(
                f"cell-{word}", "code", f"{word}\n", self.random.randint(0, len(cell_ids))
            )
        elif cell_ids:
            chosen = self.random.choice(cell_ids)
            if does == "edits":
                word = f"w{next(self.names)}"
                self.written[word] = chosen
                document.set_source(chosen, self.with_word(document.source(chosen), word))
            elif does == "moves":
                document.move_cell(chosen, self.random.choice([None, *cell_ids]))
            else:
                document.delete_cell(chosen)
                self.deleted.add(chosen)

    async def editor_step(self, does: str) -> None:
        if does == "reads" or self.editor is None:
            self.read = orjson.loads(self.path.read_bytes())
            self.editor = copy.deepcopy(self.read)
            self.unwritten, self.unwritten_cells = {}, set()
            return
        cells = self.editor["cells"]
        if does.startswith("writes"):
            data = orjson.dumps(self.editor)
            if self.editor == self.read:
                # Nothing to save; to write it would be to bring back the version that was read.
                self.editor = None
                return
            if does == "writes":
                temporary = self.path.with_name("n.ipynb~")
                temporary.write_bytes(data)
                temporary.rename(self.path)
            else:
                self.path.write_bytes(data)
            self.editor = None
            self.written |= self.unwritten
            self.cells |= self.unwritten_cells
        elif does == "inserts":
            word = f"w{next(self.names)}"
            self.unwritten[word] = f"cell-{word}"
            self.unwritten_cells.add(f"cell-{word}")
            cells.insert(self.random.randint(0, len(cells)), cell(f"cell-{word}", f"{word}\n"))
        elif cells:
            chosen = self.random.choice(cells)
            if does == "edits":
                word = f"w{next(self.names)}"
                self.unwritten[word] = chosen["id"]
                chosen["source"] = self.with_word("".join(chosen["source"]), word)
            elif does == "moves":
                cells.remove(chosen)
                cells.insert(self.random.randint(0, len(cells)), chosen)
            else:
                cells.remove(chosen)
                self.deleted.add(chosen["id"])

    def with_word(self, source: str, word: str) -> str:
        lines = source.splitlines(keepends=True)
        lines.insert(self.random.randint(0, len(lines)), f"{word}\n")
        return "".join(lines)

    async def check(self, clock: MockClock) -> None:
        for _ in range(2):
            for peer in self.peers:
                await peer.sync()
        await pass_time(clock, self.daemon, 5)
        for peer in self.peers:
            await peer.sync()
        document = self.peers[0].replica.document
        found = {c.id: c.source for c in document.cells()}
        assert found == {c.id: c.source for c in self.peers[1].replica.document.cells()}
        in_file = orjson.loads(self.path.read_bytes())["cells"]
        assert [c["id"] for c in in_file] == document.cell_ids()
        assert {c["id"]: "".join(c["source"]) for c in in_file} == found
        assert self.cells - self.deleted <= found.keys()
        for word, cell_id in self.written.items():
            if cell_id not in self.deleted:
                assert word in found[cell_id].split(), (word, cell_id)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=4, max_size=30), st.integers(0, 1 << 30))
def test_whatever_three_writers_do_file_and_document_end_the_same_with_all_of_it(
    steps: list[str], seed: int
) -> None:
    clock = MockClock(rate=1.0)

    async def run() -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "n.ipynb"
            path.write_bytes(notebook(cell("a", "one\n"), cell("b", "two\n"), cell("c", "")))
            async with open_loopback(Path(folder)) as daemon:
                peers = [await open_file(daemon, path) for _ in range(2)]
                await pass_time(clock, daemon, 1.0)
                story = Story(daemon, path, peers, seed)
                for step in steps:
                    await story.step(clock, step)
                await story.check(clock)

    trio.run(run, clock=clock)
