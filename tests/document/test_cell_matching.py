"""Recognising the cells of files that lose ids."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.cell_matching import distance, match_cells
from runtimed.document.ipynb import FileCell
from runtimed.document.three_way import CellState, NotebookState


def known(*sources: str) -> NotebookState:
    return NotebookState(tuple(CellState(f"k{i}", "code", s) for i, s in enumerate(sources)))


def in_file(*sources: str, ids: Sequence[str] = ()) -> list[FileCell]:
    return [
        FileCell(
            id=ids[i] if ids else f"cell-{i + 1}",
            cell_type="code",
            source=source,
            execution_count=None,
            outputs=[],
            metadata={},
            raw={},
            has_id=bool(ids),
        )
        for i, source in enumerate(sources)
    ]


def test_ids_that_are_there_decide_whatever_the_cells_say() -> None:
    state = known("a", "b")
    assert match_cells(state, in_file("b", "a", "c", ids=["k0", "k1", "new"])) == [
        "k0",
        "k1",
        "new",
    ]


def test_an_id_that_no_file_can_hold_is_known_in_its_spelling_there() -> None:
    state = NotebookState((CellState("a b", "code", "x"),))
    assert match_cells(state, in_file("changed", ids=["a-b"])) == ["a b"]


def test_cells_without_ids_are_known_by_what_is_in_them() -> None:
    state = known("import os", "x = 1\nprint(x)", "y = 2")
    ids = match_cells(state, in_file("new", "import os", "x = 1\nprint(x, 2)", "y = 2"))
    assert ids[1:] == ["k0", "k1", "k2"]
    assert ids[0] not in state.by_id
    assert match_cells(state, in_file("import os", "y = 2")) == ["k0", "k2"]


def test_a_file_that_nobody_knows_keeps_the_ids_made_up_for_it() -> None:
    assert match_cells(NotebookState(), in_file("a", "b")) == ["cell-1", "cell-2"]


sources = st.lists(st.text(alphabet="ab\n", max_size=6), max_size=6)


@given(sources, sources)
def test_no_id_is_given_twice_and_always_the_same(old: list[str], new: list[str]) -> None:
    state = known(*old)
    ids = match_cells(state, in_file(*new))
    assert len(set(ids)) == len(new)
    assert match_cells(state, in_file(*new)) == ids


@given(sources)
def test_what_has_not_changed_is_all_known_and_not_away_at_all(old: list[str]) -> None:
    state = known(*old)
    if old:
        assert match_cells(state, in_file(*old)) == list(state.by_id)
    assert distance(state, zip(state.by_id, old, strict=True)) == 0
