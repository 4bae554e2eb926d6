"""The metadata snapshot: shapes, defaults, and writes of what differs only."""

from __future__ import annotations

from typing import Any

import pytest
from automerge.core import ROOT, Document

from runtimed.document.actors import daemon_actor
from runtimed.document.metadata import parse_snapshot, snapshot_from_file
from runtimed.document.new_notebook import fill_new_notebook, new_metadata
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import RuntimedError

PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture
def doc() -> NotebookDocument:
    return NotebookDocument.create("nb", daemon_actor())


def operations(doc: NotebookDocument) -> int:
    return len(doc._doc.get_changes([])[-1])


def test_a_snapshot_is_read_back(doc: NotebookDocument) -> None:
    assert doc.metadata_snapshot() is None
    snapshot = {
        "kernelspec": PYTHON,
        "language_info": {"name": "python", "version": "3.12"},
        "runt": {
            "schema_version": "1",
            "env_id": "e",
            "uv": {"dependencies": ["numpy"], "requires-python": ">=3.10"},
            "mine": {"any": [1, None, {"json": True}]},
        },
    }
    doc.set_metadata_snapshot(snapshot)
    assert doc.metadata_snapshot() == snapshot
    heads = doc.heads
    doc.set_metadata_snapshot(snapshot)
    assert doc.heads == heads


def test_only_what_differs_is_written(doc: NotebookDocument) -> None:
    snapshot: dict[str, Any] = new_metadata("nb", "python", "uv")
    doc.set_metadata_snapshot(snapshot)
    snapshot["runt"]["uv"]["dependencies"] = ["pandas"]
    doc.set_metadata_snapshot(snapshot)
    assert operations(doc) == 1
    del snapshot["runt"]["uv"], snapshot["language_info"]
    doc.set_metadata_snapshot(snapshot)
    assert operations(doc) == 2
    assert doc.metadata_snapshot() == snapshot


def test_other_metadata_stays(doc: NotebookDocument) -> None:
    doc.set_raw_metadata("mine", "value")
    doc.set_metadata_snapshot({"runt": {"schema_version": "1"}})
    assert doc.raw_metadata("mine") == "value"
    assert doc.raw_metadata("runtime") == "python"


def test_nulls_and_unknown_keys_of_closed_groups_are_left_out() -> None:
    assert parse_snapshot(
        {
            "kernelspec": {**PYTHON, "language": None, "argv": []},
            "language_info": None,
            "runt": {"schema_version": "1", "uv": {"x": 1}, "conda": None, "keep": None},
        }
    ) == {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "runt": {"schema_version": "1", "uv": {"dependencies": []}, "keep": None},
    }


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"runt": {}},
        {"runt": {"schema_version": 1}},
        {"runt": {"schema_version": "1", "uv": {"dependencies": "numpy"}}},
        {"runt": {"schema_version": "1", "uv": {"dependencies": [1]}}},
        {"runt": {"schema_version": "1", "uv": {"prerelease": "maybe"}}},
        {"runt": {"schema_version": "1", "deno": {"flexible_npm_imports": "yes"}}},
        {"runt": {"schema_version": "1", "env_id": 1}},
        {"runt": {"schema_version": "1"}, "kernelspec": {"name": "x"}},
        {"runt": {"schema_version": "1"}, "language_info": "python"},
    ],
)
def test_what_is_no_snapshot_is_refused_and_nothing_written(
    bad: Any, doc: NotebookDocument
) -> None:
    heads = doc.heads
    with pytest.raises(RuntimedError, match="Invalid notebook metadata"):
        doc.set_metadata_snapshot(bad)
    assert doc.heads == heads


def test_each_group_of_a_document_is_checked_on_its_own(doc: NotebookDocument) -> None:
    doc.set_metadata_snapshot({"kernelspec": PYTHON, "runt": {"schema_version": "1"}})
    raw = Document.load(doc.save())
    metadata = raw.get(ROOT, "metadata")
    assert metadata is not None
    runt = raw.get(metadata[1], "runt")
    assert runt is not None
    with raw.transaction() as t:
        t.delete(runt[1], "schema_version")
    loaded = NotebookDocument.load(raw.save(), daemon_actor())
    assert loaded.metadata_snapshot() == {"kernelspec": PYTHON, "runt": {"schema_version": "1"}}


def test_keys_a_snapshot_cannot_express_survive_its_writing(doc: NotebookDocument) -> None:
    snapshot: dict[str, Any] = new_metadata("nb", "python", "uv")
    doc.set_metadata_snapshot(snapshot)
    raw = Document.load(doc.save())
    metadata = raw.get(ROOT, "metadata")
    assert metadata is not None
    info = raw.get(metadata[1], "language_info")
    assert info is not None
    with raw.transaction() as t:
        from automerge.core import ScalarType

        t.put(info[1], "codemirror_mode", ScalarType.Str, "ipython")
    loaded = NotebookDocument.load(raw.save(), daemon_actor())
    snapshot["language_info"]["version"] = "3.12"
    loaded.set_metadata_snapshot(snapshot)
    assert loaded._doc.get(info[1], "codemirror_mode") is not None
    snapshot["language_info"] = {"name": "typescript"}
    loaded.set_metadata_snapshot(snapshot)
    assert loaded._doc.get(info[1], "codemirror_mode") is None


def test_a_file_without_a_valid_runt_may_keep_its_dependencies_at_the_top() -> None:
    uv = {"dependencies": ["numpy"]}
    invalid: tuple[Any, ...] = ({}, {"uv": {"dependencies": []}}, None)
    for runt in invalid:
        metadata: dict[str, Any] = {
            "kernelspec": {"name": "x"},
            "uv": uv,
            "conda": {"dependencies": 1},
        }
        if runt is not None:
            metadata["runt"] = runt
        assert snapshot_from_file(metadata) == {"runt": {"schema_version": "1", "uv": uv}}
    assert snapshot_from_file({"uv": uv, "runt": {"schema_version": "1"}}) == {
        "runt": {"schema_version": "1"}
    }


@pytest.mark.parametrize(
    ("runtime", "env", "expected"),
    [
        ("python", "uv", {"uv": {"dependencies": []}}),
        ("python", "conda", {"conda": {"dependencies": [], "channels": ["conda-forge"]}}),
        ("anything", "anything", {"uv": {"dependencies": []}}),
        ("deno", "conda", {}),
    ],
)
def test_a_new_notebook_has_one_empty_code_cell(
    runtime: str, env: str, expected: dict[str, Any], doc: NotebookDocument
) -> None:
    cell_id = fill_new_notebook(doc, "the-id", runtime, env, "cell")
    assert doc.cell_ids() == [cell_id] == ["cell"]
    cell = doc.cell("cell")
    assert (cell.cell_type, cell.source, cell.position) == ("code", "", "80")
    snapshot = doc.metadata_snapshot()
    assert snapshot is not None
    assert snapshot["runt"] == {"schema_version": "1", "env_id": "the-id", **expected}
    assert snapshot["kernelspec"]["name"] == ("deno" if runtime == "deno" else "python3")


def test_a_new_notebook_is_one_change_and_its_cell_has_a_random_id(doc: NotebookDocument) -> None:
    heads = doc.heads
    cell_id = fill_new_notebook(doc, "nb")
    assert len(cell_id) == 36
    assert len(doc._doc.get_changes([bytes.fromhex(head) for head in heads])) == 1
