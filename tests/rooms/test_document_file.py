from __future__ import annotations

import math
from pathlib import Path

import pytest
import trio
from automerge.core import ROOT, Document, ObjType, ScalarType
from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.actors import daemon_actor
from runtimed.document.fresh_copy import fresh_copy
from runtimed.document.notebook import NotebookDocument
from runtimed.document.three_way import CellState, NotebookState
from runtimed.errors import DocumentTooNew, RuntimedError
from runtimed.rooms.document_file import DocumentFile, SaveSchedule
from runtimed.rooms.file_version import FileVersion, SavedState


def test_nothing_is_due_while_nothing_has_changed() -> None:
    schedule = SaveSchedule(quiet=0.1, longest=0.4)
    assert schedule.due() == math.inf
    schedule.changed(10.0)
    schedule.saved()
    assert schedule.due() == math.inf


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=50))
def test_a_change_never_waits_longer_than_the_longest(pauses: list[float]) -> None:
    schedule = SaveSchedule(quiet=0.1, longest=0.4)
    now = first = 100.0
    for pause in pauses:
        schedule.changed(now)
        assert now <= schedule.due() + 1e9
        assert schedule.due() <= first + 0.4 + 1e-9
        now += pause
        if now >= schedule.due():
            schedule.saved()
            first = now


def document_with(*sources: str) -> NotebookDocument:
    document = NotebookDocument.create("nb", daemon_actor())
    for number, source in enumerate(sources):
        document.insert_cell(f"cell-{number}", "code", source)
    return document


def open_file(folder: Path) -> DocumentFile:
    return DocumentFile(folder, "nb", trio.CapacityLimiter(1))


async def test_what_was_saved_and_appended_comes_back(tmp_path: Path) -> None:
    document = document_with("a = 1")
    file = open_file(tmp_path)
    await file.save(document)
    size = file.path.stat().st_size
    document.append_source("cell-0", "\nb = 2")
    await file.save(document)
    assert file.path.stat().st_size > size  # appended, not rewritten
    loaded = await open_file(tmp_path).load(daemon_actor())
    assert loaded is not None
    assert loaded.source("cell-0") == "a = 1\nb = 2"
    assert file.path.stat().st_mode & 0o777 == 0o600


async def test_a_tail_cut_anywhere_loses_only_that_tail(tmp_path: Path) -> None:
    document = document_with("one")
    file = open_file(tmp_path)
    await file.save(document)
    whole = file.path.read_bytes()
    document.append_source("cell-0", " two")
    await file.save(document)
    longer = file.path.read_bytes()
    for length in range(len(whole), len(longer)):
        file.path.write_bytes(longer[:length])
        again = open_file(tmp_path)
        loaded = await again.load(daemon_actor())
        assert loaded is not None
        assert loaded.source("cell-0") == "one"
        # And what comes then is appended behind the good part.
        loaded.append_source("cell-0", " three")
        await again.save(loaded)
        reloaded = await open_file(tmp_path).load(daemon_actor())
        assert reloaded is not None
        assert reloaded.source("cell-0") == "one three"


async def test_a_file_that_is_no_document_is_kept_aside(tmp_path: Path) -> None:
    for content in (b"garbage", b"more garbage"):
        file = open_file(tmp_path)
        file.path.write_bytes(content)
        assert await file.load(daemon_actor()) is None
        await file.save(document_with("fresh"))
        assert file.path.exists()
    kept = sorted(path.name.partition(".automerge.")[2] for path in tmp_path.glob("*corrupt*"))
    assert kept == ["corrupt", "corrupt-2"]


async def test_many_changes_are_compacted(tmp_path: Path) -> None:
    document = document_with("x")
    file = open_file(tmp_path)
    for number in range(60):
        document.append_output("cell-0", f"{number:064d}" * 200)
        await file.save(document)
    assert file.path.stat().st_size < 60 * 64 * 200 * 2
    loaded = await open_file(tmp_path).load(daemon_actor())
    assert loaded is not None
    assert len(loaded.outputs("cell-0")) == 60


async def test_a_failed_save_loses_nothing(tmp_path: Path) -> None:
    document = document_with("one")
    file = open_file(tmp_path)
    await file.save(document)
    document.append_source("cell-0", " two")
    target = file.path.rename(tmp_path / "away")
    file.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        await file.save(document)
    file.path.rmdir()
    target.rename(file.path)
    await file.save(document)
    loaded = await open_file(tmp_path).load(daemon_actor())
    assert loaded is not None
    assert loaded.source("cell-0") == "one two"


async def test_the_saved_state_is_remembered(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    assert await file.load_state() == SavedState("nb")
    cell = CellState("a", "code", "x = 1", 3, ("1" * 64,), {"tags": ["t"]}, {"a": {}})
    state = NotebookState((cell,), {"runt": {"schema_version": "1"}}, {"runtime": "python"})
    newest, older = (
        FileVersion(digest, (digest,), state, {"a": "digest"}) for digest in ("new", "old")
    )
    await trio.to_thread.run_sync(file.write_state, SavedState("nb", (older,), newest))
    found = await file.load_state()
    assert found.seen("old").versions == (older,)
    assert found.seen("new").versions == (newest, older)
    next(tmp_path.glob("*.json")).write_text("[}")
    assert await file.load_state() == SavedState("nb")


async def test_a_file_that_vanished_is_written_anew(tmp_path: Path) -> None:
    document = document_with("one")
    file = open_file(tmp_path)
    await file.save(document)
    file.path.unlink()
    document.append_source("cell-0", " two")
    await file.save(document)
    loaded = await open_file(tmp_path).load(daemon_actor())
    assert loaded is not None
    assert loaded.source("cell-0") == "one two"


def older_document() -> bytes:
    """A document of schema 1, with one cell in its List."""
    document = Document(b"old")
    with document.transaction() as t:
        t.put(ROOT, "notebook_id", ScalarType.Str, "nb")
        cells = t.put_object(ROOT, "cells", ObjType.List)
        cell = t.insert_object(cells, 0, ObjType.Map)
        t.put(cell, "id", ScalarType.Str, "old")
        t.put(cell, "cell_type", ScalarType.Str, "code")
    return document.save()


async def test_what_is_written_behind_an_older_document_can_be_read_again(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    file.path.write_bytes(older_document())
    document = await file.load(daemon_actor())
    assert document is not None
    assert document.cell_ids() == ["old"]
    document.append_source("old", "x = 1")
    await file.save(document)
    again = await open_file(tmp_path).load(daemon_actor())
    assert again is not None
    assert again.heads == document.heads
    assert again.source("old") == "x = 1"


async def test_an_older_document_that_can_not_be_brought_up_to_date_is_kept_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(document: Document) -> None:
        raise KeyError("what nobody thought of")

    monkeypatch.setattr("runtimed.document.notebook.upgrade", fail)
    file = open_file(tmp_path)
    data = older_document()
    file.path.write_bytes(data)
    assert await file.load(daemon_actor()) is None
    await file.save(document_with("fresh"))
    assert file.path.with_name(f"{file.path.name}.corrupt").read_bytes() == data


async def test_a_document_of_a_later_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    later = Document(b"later")
    with later.transaction() as t:
        t.put(ROOT, "schema_version", ScalarType.Uint, 3)
    file = open_file(tmp_path)
    data = later.save() + b"and a tail that a crash has cut"
    file.path.write_bytes(data)
    with pytest.raises(DocumentTooNew, match=rf"schema version 3.*upgrade.*or move {file.path}"):
        await file.load(daemon_actor())
    with pytest.raises(RuntimedError, match=r"schema version 3"):
        await file.peek()
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]
    assert file.path.read_bytes() == data


async def test_another_document_takes_the_place_of_the_first_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = document_with("a = 1")
    file = open_file(tmp_path)
    for number in range(50):
        document.set_source("cell-0", f"a = {number}")
        await file.save(document)
    before = file.path.read_bytes()
    other = fresh_copy(document, daemon_actor())

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="no"):
            await file.save(other)
    assert file.path.read_bytes() == before
    other.append_source("cell-0", "!")
    await file.save(other)
    other.append_source("cell-0", "?")
    await file.save(other)  # appended to the new one
    assert len(file.path.read_bytes()) < len(before) / 3
    loaded = await open_file(tmp_path).load(daemon_actor())
    assert loaded is not None
    assert (loaded.source("cell-0"), loaded.heads) == ("a = 49!?", other.heads)
