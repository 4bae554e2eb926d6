"""Merging JSON objects: leaf by leaf, lists of names like sets."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtimed.document.json_mapping import same
from runtimed.document.json_merge import merge_objects

leaves = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a", 1.0])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner | st.sampled_from("abc"), max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from("abc"), values, max_size=3
)


@given(objects, objects)
def test_a_side_that_changed_nothing_gives_way(base: Any, changed: Any) -> None:
    assert same(merge_objects(base, base, changed), changed)
    assert same(merge_objects(base, changed, base), changed)
    assert same(merge_objects(base, changed, changed), changed)


@given(objects, objects, objects)
def test_merging_again_changes_nothing(base: Any, ours: Any, theirs: Any) -> None:
    once = merge_objects(base, ours, theirs)
    assert same(merge_objects(base, once, theirs), once)


def test_different_leaves_merge_at_any_depth() -> None:
    base = {"jupyter": {"source_hidden": False}, "n": 1}
    ours = {"jupyter": {"source_hidden": True}, "n": 1, "ours": {}}
    theirs = {"jupyter": {"source_hidden": False, "outputs_hidden": True}}
    assert merge_objects(base, ours, theirs) == {
        "jupyter": {"source_hidden": True, "outputs_hidden": True},
        "ours": {},
    }


def test_a_leaf_that_both_changed_stays_as_ours() -> None:
    assert merge_objects({"a": 1}, {"a": 2}, {"a": 3}) == {"a": 2}
    assert merge_objects({"a": 1}, {"a": 2}, {}) == {"a": 2}
    assert merge_objects({"a": 1}, {}, {"a": 3}) == {}


def test_lists_of_names_have_what_either_side_added_and_not_what_either_removed() -> None:
    assert merge_objects(
        {"tags": ["a", "b", "c"]}, {"tags": ["new", "a", "c"]}, {"tags": ["a", "b", "x"]}
    ) == {"tags": ["new", "a", "x"]}


def test_a_member_named_as_a_leaf_is_never_mixed() -> None:
    base = {"kernelspec": {"name": "a", "display_name": "A"}}
    ours = {"kernelspec": {"name": "a", "display_name": "Mine"}}
    theirs = {"kernelspec": {"name": "b", "display_name": "B"}}
    assert merge_objects(base, ours, theirs, leaves=["kernelspec"]) == ours
