"""Any order of edits by peers and a text editor, of approvals, saves, restarts and crashes: nothing
that came with a file unsigned may ever be installed, or is ever signed."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_files import cell, edit, open_file, pass_time
from trio.testing import MockClock
from trust_files import (
    add_package,
    asking_for,
    may_install,
    parsed,
    remove_packages,
    room_of,
    signature_for,
    trust_of,
    vouched_in_file,
)

from loopback import Loopback, open_loopback
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.notebook_file import approve_file
from runtimed.protocol import requests
from wire_peer import WirePeer

STEPS = [
    "peer adds", "peer removes", "peer clears", "peer adds a block", "peer deletes a cell",
    "peer makes cells code", "peer signs with the key", "peer signs without the key", "approve",
    "editor adds", "editor removes", "editor adds a block", "editor adds a text with a block",
    "editor drops the signature", "editor signs", "editor brings an old file back",
    "save", "save a copy", "moment", "rest", "restart", "crash",
]  # fmt: skip


class Story:
    """One run: `suspect` are the packages that came with a file unsigned and were not approved."""

    def __init__(self, folder: Path, clock: MockClock, seed: int) -> None:
        self.folder, self.clock = folder, clock
        self.path = folder / "n.ipynb"
        self.random = random.Random(seed)
        self.names = (f"p{number}" for number in itertools.count(1000))
        self.suspect: set[str] = set()
        self.old_files: list[bytes] = []
        self.stack = AsyncExitStack()
        self.daemon: Loopback
        self.peer: WirePeer

    async def open(self) -> None:
        self.daemon = await self.stack.enter_async_context(open_loopback(self.folder))
        autosave = self.random.random() < 0.7
        self.peer = await open_file(self.daemon, self.path, autosave=autosave)
        await pass_time(self.clock, self.daemon, 0.5)

    async def close(self) -> None:
        await self.stack.aclose()
        self.stack = AsyncExitStack()

    @property
    def document(self) -> Any:
        return self.peer.replica.document

    async def asked_for(self) -> set[str]:
        """The packages that would be installed."""
        await self.peer.sync()
        info = await trust_of(self.peer)
        return {*info.uv_dependencies, *info.script_dependencies}

    async def step(self, what: str) -> None:
        self.old_files.append(self.path.read_bytes())
        await getattr(self, what.replace(" ", "_"))()
        await pass_time(self.clock, self.daemon, 0.75)

    # What peers do

    async def peer_adds(self) -> None:
        await add_package(self.peer, next(self.names))

    async def peer_removes(self) -> None:
        listed = self.document.metadata_at(["runt", "uv", "dependencies"]) or []
        if listed:
            await remove_packages(self.peer, self.random.choice(listed))

    async def peer_clears(self) -> None:
        await remove_packages(
            self.peer, *(self.document.metadata_at(["runt", "uv", "dependencies"]) or [])
        )

    async def peer_adds_a_block(self) -> None:
        name = next(self.names)
        self.document.insert_cell(f"cell-{name}", "code", block(name))
        await self.peer.sync()

    async def peer_deletes_a_cell(self) -> None:
        if cells := self.document.cell_ids():
            self.document.delete_cell(self.random.choice(cells))
            await self.peer.sync()

    async def peer_makes_cells_code(self) -> None:
        for cell_id in self.document.cell_ids():
            self.document.set_cell_type(cell_id, "code")
        await self.peer.sync()

    async def peer_signs_with_the_key(self) -> None:
        await self.peer.sync()
        content = room_of(self.daemon, self.path).trust.content
        copy = self.folder / "as-it-is.ipynb"
        write_content(copy, self.document)
        assert parsed(copy)[0] == content
        await self.peer_signs(signature_for(self.folder, copy))
        self.suspect -= known_in(copy)

    async def peer_signs_without_the_key(self) -> None:
        await self.peer_signs("hmac-sha256:" + "0" * 64)

    async def peer_signs(self, signature: str) -> None:
        snapshot = self.document.metadata_snapshot() or {"runt": {"schema_version": "1"}}
        snapshot["runt"] |= {"trust_signature": signature}
        await self.peer.ask(requests.SetMetadataSnapshot(orjson.dumps(snapshot).decode()))
        await self.peer.sync()

    async def approve(self) -> None:
        await self.peer.sync()
        copy = self.folder / "as-it-is.ipynb"
        write_content(copy, self.document)
        shown = await trust_of(self.peer)
        answer = await self.peer.ask(requests.ApproveTrust(shown.content))
        assert answer.status in ("trusted", "no_dependencies"), answer
        self.suspect -= known_in(copy)

    # What another program does with the file

    async def editor(self, change: Any) -> None:
        before = self.path.read_bytes()
        had = known_in(self.path)
        edit(self.path, change)
        if not vouched_in_file(self.folder, self.path):
            self.suspect |= known_in(self.path) - had
        assert before is not None

    async def editor_adds(self) -> None:
        name = next(self.names)
        await self.editor(lambda content: listed_in(content).append(name))

    async def editor_removes(self) -> None:
        await self.editor(lambda content: listed_in(content) and listed_in(content).pop())

    async def editor_adds_a_block(self) -> None:
        name = next(self.names)
        await self.editor(
            lambda content: content["cells"].append(cell(f"cell-{name}", block(name)))
        )

    async def editor_adds_a_text_with_a_block(self) -> None:
        name = next(self.names)
        text = {"id": f"cell-{name}", "cell_type": "markdown", "source": block(name)}
        await self.editor(lambda content: content["cells"].append(text | {"metadata": {}}))

    async def editor_drops_the_signature(self) -> None:
        await self.editor(lambda content: content["metadata"]["runt"].pop("trust_signature", None))

    async def editor_signs(self) -> None:
        files = TrustFiles.below(self.folder / "trust")
        content, _ = parsed(self.path)
        approve_file(self.path, files, content.digest)
        self.suspect -= known_in(self.path)

    async def editor_brings_an_old_file_back(self) -> None:
        had = known_in(self.path)
        self.path.write_bytes(self.random.choice(self.old_files))
        if not vouched_in_file(self.folder, self.path):
            self.suspect |= known_in(self.path) - had

    # What becomes of it

    async def save(self) -> None:
        await self.peer.ask(requests.SaveNotebook(False))

    async def save_a_copy(self) -> None:
        copy = self.folder / f"copy-{next(self.names)}.ipynb"
        await self.peer.ask(requests.SaveNotebook(False, str(copy)))
        if vouched_in_file(self.folder, copy):
            assert not installed_from(copy) & self.suspect

    async def moment(self) -> None:
        await pass_time(self.clock, self.daemon, 1.0)

    async def rest(self) -> None:
        await pass_time(self.clock, self.daemon, 3.0)

    async def restart(self) -> None:
        await self.close()
        await self.open()

    async def crash(self) -> None:
        """The daemon ends with nothing but what is on disk now."""
        documents, kept = self.folder / "documents", self.folder / "kept"
        shutil.copytree(documents, kept)
        file = self.path.read_bytes()
        await self.close()
        shutil.rmtree(documents)
        kept.rename(documents)
        self.path.write_bytes(file)
        await self.open()

    async def check(self) -> None:
        asked = await self.asked_for()
        if may_install(room_of(self.daemon, self.path)):
            assert not asked & self.suspect, (asked, self.suspect)
        if vouched_in_file(self.folder, self.path):
            assert not installed_from(self.path) & self.suspect


def block(name: str) -> str:
    return f'# /// script\n# dependencies = ["{name}"]\n# ///\n'


def listed_in(content: Any) -> list[str]:
    listed: list[str] = content["metadata"]["runt"]["uv"]["dependencies"]
    return listed


def installed_from(path: Path) -> set[str]:
    """The packages that a notebook file asks for."""
    return set(parsed(path)[0].packages)


def known_in(path: Path) -> set[str]:
    """The packages that are named in a notebook file, also those that nobody would install."""
    file = orjson.loads(path.read_bytes())
    in_cells = "".join("".join(cell["source"]) for cell in file["cells"])
    found = {part for part in in_cells.split('"') if part.startswith("p") and part[1:].isdigit()}
    return found | installed_from(path)


def write_content(path: Path, document: Any) -> None:
    """A file with what a document asks for."""
    cells = [{**cell(c.id, c.source), "cell_type": c.cell_type} for c in document.cells()]
    metadata = document.metadata_snapshot() or {}
    value = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_bytes(orjson.dumps(value))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["empty", "signed", "unsigned"]),
    st.lists(st.sampled_from(STEPS), min_size=3, max_size=20),
    st.integers(0, 1 << 30),
)
def test_nothing_that_came_unsigned_with_a_file_is_ever_installed(
    begins: str, steps: list[str], seed: int
) -> None:
    clock = MockClock(rate=1.0)

    async def run() -> None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            story = Story(Path(folder), clock, seed)
            packages = [] if begins == "empty" else ["p1"]
            story.path.write_bytes(asking_for(*packages))
            if begins == "signed":
                signature = signature_for(story.folder, story.path)
                story.path.write_bytes(asking_for(*packages, trust_signature=signature))
            elif begins == "unsigned":
                story.suspect.add("p1")
            await story.open()
            try:
                await story.check()
                for what in steps:
                    await story.step(what)
                    await story.check()
            finally:
                await story.close()

    trio.run(run, clock=clock)
