"""Three-way merging of notebooks: changes of two sides become one, and nobody's are lost."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.notebook import NotebookDocument
from runtimed.document.three_way import CellState, NotebookState, merge_into

SNAPSHOT = {
    "kernelspec": {"name": "python3", "display_name": "Python 3"},
    "runt": {"schema_version": "1", "uv": {"dependencies": ["numpy"]}},
}


def document_of(state: NotebookState) -> NotebookDocument:
    document = NotebookDocument.create("nb", daemon_actor())
    document.load_cells(cell.new_cell() for cell in state.cells)
    if state.snapshot is not None:
        document.set_metadata_snapshot(state.snapshot)
    return document


def state(*cells: CellState, snapshot: Any = SNAPSHOT) -> NotebookState:
    return NotebookState(cells, snapshot, {"runtime": "python"})


def cell(cell_id: str, source: str = "", **parts: Any) -> CellState:
    return CellState(cell_id, source=source, **parts)


def operations(document: NotebookDocument) -> int:
    """How many operations the newest change has."""
    return len(document._doc.get_changes([])[-1])


def ids(document: NotebookDocument) -> str:
    return "".join(document.cell_ids())


# Any states: few ids, so that sides collide

json_values = st.sampled_from([None, True, 1, 1.0, "x", ["a"], ["a", "b"], {}, {"in": 1}])
cells = st.builds(
    CellState,
    id=st.sampled_from("abcdefgh"),
    cell_type=st.sampled_from(["code", "markdown"]),
    source=st.text(alphabet="xy\n", max_size=8),
    execution_count=st.none() | st.integers(1, 3),
    outputs=st.lists(st.sampled_from(["1" * 64, "2" * 64, "{}"]), max_size=2).map(tuple),
    metadata=st.dictionaries(st.sampled_from(["tags", "jupyter"]), json_values, max_size=2),
)
references = st.sampled_from([{"inline": "x"}, {"inline": "y"}, {"blob": "1" * 64, "size": 9}])
bundles = st.dictionaries(
    st.sampled_from(["image/png", "text/plain"]), references, min_size=1, max_size=2
)
cells = st.builds(
    attrs.evolve,
    cells,
    attachments=st.just({}) | st.dictionaries(st.sampled_from(["a", "b"]), bundles, max_size=2),
)
snapshots = st.builds(
    lambda name, packages: {
        "kernelspec": {"name": name, "display_name": name.upper()},
        "runt": {"schema_version": "1", "uv": {"dependencies": packages}},
    },
    st.sampled_from(["a", "b"]),
    st.lists(st.sampled_from(["numpy", "pandas", "scipy"]), unique=True, max_size=3),
)
states = st.builds(
    NotebookState,
    cells=st.lists(cells, max_size=7, unique_by=lambda cell: cell.id).map(tuple),
    snapshot=snapshots,
    raw_metadata=st.fixed_dictionaries({"runtime": st.sampled_from(["python", "deno"])}),
)


@settings(max_examples=50, deadline=None)
@given(states, states)
def test_a_side_that_changed_nothing_changes_nothing(
    base: NotebookState, ours: NotebookState
) -> None:
    document = document_of(ours)
    heads = document.heads
    assert not merge_into(document, base, base)
    assert document.heads == heads


@settings(max_examples=50, deadline=None)
@given(states, states)
def test_a_document_that_nobody_changed_becomes_exactly_theirs(
    base: NotebookState, theirs: NotebookState
) -> None:
    document = document_of(base)
    document.set_raw_metadata("runtime", base.raw_metadata["runtime"])
    base = NotebookState.of(document)
    touched = merge_into(document, base, theirs)
    assert NotebookState.of(document) == theirs
    assert bool(touched) == (base != theirs)
    assert touched.order == ([c.id for c in base.cells] != [c.id for c in theirs.cells])


@settings(max_examples=50, deadline=None)
@given(states, states, states)
def test_merging_structure_again_changes_nothing(
    base: NotebookState, ours: NotebookState, theirs: NotebookState
) -> None:
    def plain(state: NotebookState) -> NotebookState:
        # Texts that mean something when merged twice: see the tests of text merging.
        return attrs.evolve(
            state, cells=tuple(attrs.evolve(cell, source="same") for cell in state.cells)
        )

    base, ours, theirs = plain(base), plain(ours), plain(theirs)
    document = document_of(ours)
    merge_into(document, base, theirs)
    once = NotebookState.of(document)
    assert not merge_into(document, base, theirs)
    assert NotebookState.of(document) == once


@settings(max_examples=50, deadline=None)
@given(states, states, states)
def test_a_cell_is_gone_only_if_somebody_deleted_it(
    base: NotebookState, ours: NotebookState, theirs: NotebookState
) -> None:
    document = document_of(ours)
    merge_into(document, base, theirs)
    for cell_id in {*ours.by_id, *theirs.by_id} - base.by_id.keys():
        assert cell_id in document
    for cell_id in base.by_id.keys() & ours.by_id.keys() & theirs.by_id.keys():
        assert cell_id in document


@settings(max_examples=50, deadline=None)
@given(states, states, st.sampled_from("abcdefgh"))
def test_a_running_cell_keeps_its_outputs(
    base: NotebookState, theirs: NotebookState, running: str
) -> None:
    document = document_of(base)
    merge_into(document, base, theirs, running={running})
    if running in base.by_id:
        old = base.by_id[running]
        assert tuple(document.outputs(running)) == old.outputs
        assert document.execution_count(running) == old.execution_count


# Single cases


def test_edits_of_both_sides_are_one_change_that_reaches_peers() -> None:
    base = state(cell("a", "x = 1\n"), cell("b", "y = 1\n"), cell("c", "z"))
    document = document_of(base)
    replica = NotebookDocument.empty(client_actor("peer"))
    here, there = document.new_peer(), replica.new_peer()

    def sync() -> None:
        for _ in range(6):
            if message := document.generate_sync(here):
                replica.receive_sync(there, message)
            if message := replica.generate_sync(there):
                document.receive_sync(here, message)

    sync()
    document.set_source("a", "x = 1\nours = 1\n")
    document.insert_cell_after("ours", "code", "new", "b")
    changes = len(document._doc.get_changes([]))
    touched = merge_into(
        document,
        base,
        state(
            cell("a", "x = 2\n"), cell("theirs", "t", cell_type="markdown"), cell("b", "y = 1\n")
        ),
    )
    assert touched.cells == {"a", "theirs", "c"}
    assert touched.order
    assert not touched.metadata
    assert len(document._doc.get_changes([])) == changes + 1
    # At the same moment, the peer writes into the cell.
    replica.append_source("a", "peer = 1\n")
    sync()
    assert replica.source("a") == document.source("a") == "x = 2\nours = 1\npeer = 1\n"
    assert replica.cell_ids() == ["a", "theirs", "b", "ours"]


def test_only_the_cells_that_moved_are_written() -> None:
    base = state(*(cell(name) for name in "abcdefgh"))
    document = document_of(base)
    merge_into(document, base, state(*(cell(name) for name in "hacdefgb")))
    assert ids(document) == "hacdefgb"
    assert operations(document) == 2


def test_a_moved_cell_keeps_what_others_write_into_it() -> None:
    base = state(cell("a", "1"), cell("b", "2"), cell("c", "3"))
    document = document_of(base)
    document.set_source("c", "3 edited")
    document.insert_cell("new", "code", index=3)
    merge_into(document, base, state(cell("c", "3"), cell("a", "1"), cell("b", "2")))
    assert ids(document) == "cabnew"
    assert document.source("c") == "3 edited"


def test_cells_added_by_both_sides_stand_at_their_neighbours() -> None:
    base = state(cell("a"), cell("b"), cell("c"))
    document = document_of(base)
    document.insert_cell("x", "code", index=0)
    document.insert_cell_after("y", "code", "", "c")
    merge_into(
        document, base, state(cell("a"), cell("1"), cell("2"), cell("b"), cell("c"), cell("3"))
    )
    order = document.cell_ids()
    assert order[:5] == ["x", "a", "1", "2", "b"]
    assert set(order[6:]) == {"y", "3"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.set_source("a", "1 more"),
        lambda document: document.set_cell_type("a", "markdown"),
        lambda document: document.set_cell_metadata("a", {"tags": ["t"]}),
    ],
)
def test_a_cell_edited_here_and_deleted_there_is_kept(edit: Any) -> None:
    base = state(cell("a", "1"), cell("b", "2"))
    document = document_of(base)
    edit(document)
    merge_into(document, base, state(cell("b", "2")))
    assert ids(document) == "ab"


def test_a_cell_deleted_here_and_edited_there_is_kept() -> None:
    base = state(cell("a", "1"), cell("b", "2"), cell("c", "3"))
    document = document_of(base)
    document.delete_cell("b")
    document.delete_cell("c")
    merge_into(document, base, state(cell("a", "1"), cell("b", "2 more"), cell("c", "3")))
    assert ids(document) == "ab"
    assert document.source("b") == "2 more"


def test_their_outputs_count_only_where_ours_are_as_they_were() -> None:
    old, new = ("1" * 64,), ("2" * 64,)
    base = state(
        cell("a", execution_count=1, outputs=old), cell("b", execution_count=1, outputs=old)
    )
    document = document_of(base)
    document.set_outputs("b", ["3" * 64])
    document.set_execution_count("b", 7)
    merge_into(
        document,
        base,
        state(cell("a", execution_count=2, outputs=new), cell("b", execution_count=2, outputs=new)),
    )
    assert (document.outputs("a"), document.execution_count("a")) == (list(new), 2)
    assert (document.outputs("b"), document.execution_count("b")) == (["3" * 64], 7)


def test_a_metadata_snapshot_merges_by_leaf_and_its_packages_like_a_set() -> None:
    base = state()
    document = document_of(base)
    ours: Any = {**SNAPSHOT, "runt": {"schema_version": "1", "uv": {"dependencies": ["scipy"]}}}
    document.set_metadata_snapshot(ours)
    theirs = {
        "kernelspec": {"name": "other", "display_name": "Other"},
        "runt": {"schema_version": "1", "uv": {"dependencies": ["numpy", "pandas"]}},
    }
    assert merge_into(document, base, state(snapshot=theirs)).metadata
    assert document.metadata_snapshot() == {
        "kernelspec": {"name": "other", "display_name": "Other"},
        "runt": {"schema_version": "1", "uv": {"dependencies": ["scipy", "pandas"]}},
    }


def test_attachments_merge_by_name_and_type_and_no_reference_is_mixed() -> None:
    def with_attachments(**attachments: Any) -> NotebookState:
        return state(cell("a", cell_type="markdown", attachments=attachments))

    small: Any = {"image/png": {"inline": "x"}}
    large: Any = {"image/png": {"blob": "1" * 64, "size": 9}}
    base = with_attachments(kept=small, both=small, removed=small)
    document = document_of(base)
    document.set_attachments("a", {"kept": small, "both": large, "removed": small, "ours": small})
    merge_into(document, base, with_attachments(kept=small, both=small, theirs=large))
    assert document.attachments("a") == {
        "kept": small,
        "both": large,
        "ours": small,
        "theirs": large,
    }


def test_a_cell_that_both_have_without_a_base_has_both_texts() -> None:
    document = document_of(state(cell("a", "shared ours")))
    merge_into(document, state(), state(cell("a", "shared theirs")))
    merged = document.source("a")
    merge_into(document, state(), state(cell("a", "shared theirs")))
    assert document.source("a") == merged
    assert "ours" in merged
    assert ids(document) == "a"
