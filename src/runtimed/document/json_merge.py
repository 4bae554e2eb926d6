"""Three versions of a JSON object made one, leaf by leaf. Pure values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from runtimed.document.json_mapping import same

__all__ = ["merge_objects"]

_MISSING = object()


def merge_objects(
    base: Mapping[str, Any],
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    *,
    leaves: Collection[str] = (),
) -> dict[str, Any]:
    """What an object becomes when two sides have changed it since `base`.

    Special cases: a leaf that both changed stays as ours; `leaves` are members that count as one
    whatever is in them. Lists of different strings, such as tags and dependencies, are merged like
    sets; any other list is a leaf.
    """
    merged: dict[str, Any] = {}
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        versions = [side.get(key, _MISSING) for side in (base, ours, theirs)]
        value = _merged_leaf(*versions) if key in leaves else _merged(*versions)
        if value is not _MISSING:
            merged[key] = value
    return merged


def _merged(base: Any, ours: Any, theirs: Any) -> Any:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return merge_objects(base if isinstance(base, dict) else {}, ours, theirs)
    if _is_set(base) and _is_set(ours) and _is_set(theirs) and not same(ours, base):
        kept = [item for item in ours if item in theirs or item not in base]
        return kept + [item for item in theirs if item not in ours and item not in base]
    return _merged_leaf(base, ours, theirs)


def _merged_leaf(base: Any, ours: Any, theirs: Any) -> Any:
    return theirs if same(ours, base) else ours


def _is_set(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(item, str) for item in value)
        and len(set(value)) == len(value)
    )
