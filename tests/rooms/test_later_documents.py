"""Saved documents of a schema that this version does not know: told, and left alone."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from automerge.core import ROOT, Document, ScalarType

from loopback import open_loopback
from runtimed.protocol import handshake, pool

UNTITLED = "8f0f5a0e-3f5e-4d6c-9d2a-3a5b6c7d8e9f"


def write_later_document(folder: Path, notebook_id: str) -> Path:
    later = Document(b"later")
    with later.transaction() as t:
        t.put(ROOT, "schema_version", ScalarType.Uint, 3)
    name = hashlib.sha256(notebook_id.encode()).hexdigest()
    path = folder / "documents" / f"{name}.automerge"
    path.parent.mkdir()
    path.write_bytes(later.save())
    return path


@pytest.mark.parametrize(
    "hello",
    [
        handshake.NotebookSync(UNTITLED, protocol="v2"),
        handshake.CreateNotebook("python", notebook_id=UNTITLED),
    ],
)
async def test_a_peer_is_told_what_to_do_about_a_later_document(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, hello: Any
) -> None:
    path = write_later_document(tmp_path, UNTITLED)
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        reply = await daemon.connect().open(hello)
        assert "has schema version 3" in reply.error
        assert f"upgrade runtimed to open it, or move {path} away" in reply.error
        look = daemon.connect()
        await look.open(handshake.Pool())
        answer = await look.ask_pool(pool.InspectNotebook(UNTITLED))
        assert isinstance(answer, pool.Error)
        assert "has schema version 3" in answer.message
        other = await daemon.join("another")  # and nobody else is concerned
        assert other.replica.document.cell_ids() == []
    assert path.read_bytes() == before
    assert list(path.parent.glob(f"{path.name}.*")) == []


async def test_a_notebook_file_is_not_opened_over_a_later_document(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    notebook = tmp_path / "n.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    path = write_later_document(tmp_path, str(notebook))
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        reply = await daemon.connect().open(handshake.OpenNotebook(str(notebook)))
        assert "has schema version 3" in reply.error
        path.rename(tmp_path / "away")
        reply = await daemon.connect().open(handshake.OpenNotebook(str(notebook)))
        assert not reply.error
    assert (tmp_path / "away").read_bytes() == before
