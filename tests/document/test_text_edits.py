"""Text edits: right for any two texts, and small where the change is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.text_edits import Edit, apply_edits, minimal_edits

texts = st.text(alphabet="ab\n é🙂", max_size=60) | st.text(max_size=30)


@given(texts, texts)
def test_edits_turn_the_old_text_into_the_new_one(old: str, new: str) -> None:
    edits = minimal_edits(old, new)
    assert apply_edits(old, edits) == new
    ends = [edit.index + edit.delete for edit in edits]
    assert all(end <= edit.index for end, edit in zip(ends, edits[1:], strict=False))


@given(texts, texts, texts, texts)
def test_what_two_texts_share_at_both_ends_is_not_touched(
    start: str, old: str, new: str, end: str
) -> None:
    edits = minimal_edits(start + old + end, start + new + end)
    assert sum(edit.delete for edit in edits) <= len(old)
    assert sum(len(edit.insert) for edit in edits) <= len(new)
    assert all(edit.index >= len(start) or not edit.delete for edit in edits)


def test_equal_texts_need_no_edit() -> None:
    assert minimal_edits("x = 1", "x = 1") == []


def test_indices_count_code_points() -> None:
    assert minimal_edits("🙂🙂é = 1", "🙂🙂é = 2") == [Edit(6, 1, "2")]


def test_two_changes_far_apart_are_two_edits() -> None:
    old = "a = 1\n" + "same\n" * 10 + "b = 1\n"
    new = old.replace("a = 1", "a = 2").replace("b = 1", "b = 2")
    assert minimal_edits(old, new) == [Edit(4, 1, "2"), Edit(60, 1, "2")]


def test_long_texts_are_compared_by_line_first() -> None:
    lines = [f"line {i} of a long cell\n" for i in range(1500)]
    old = "".join(lines)
    lines[3] = "line three of a long cell\n"
    lines[1400] = "another\n"
    del lines[700]
    new = "".join(lines)
    edits = minimal_edits(old, new)
    assert apply_edits(old, edits) == new
    assert sum(edit.delete + len(edit.insert) for edit in edits) < 120


def test_one_long_line_that_is_all_different_is_replaced() -> None:
    old, new = "ab" * 5000, "xyz" * 5000
    assert minimal_edits(old, new) == [Edit(0, 10000, new)]
