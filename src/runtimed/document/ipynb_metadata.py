"""Notebook metadata between a file and the shared document.

The document holds three groups of it, in a fixed shape (the snapshot); all the rest stays in the
file. Merging touches only the groups that were changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from runtimed.document.json_mapping import as_in_file, storable
from runtimed.document.metadata import GROUPS, SECTIONS, parse_runt, snapshot_from_file

__all__ = ["cloned_snapshot", "merged_metadata", "metadata_snapshot", "unsigned"]

_SIGNATURE = ("trust_signature", "trust_timestamp")


def metadata_snapshot(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a file's metadata that the document holds, as it is read back there.

    Raises: RuntimedError if it is nested too deeply.
    """
    snapshot: dict[str, Any] = storable(snapshot_from_file(metadata))
    return snapshot


def cloned_snapshot(snapshot: Mapping[str, Any], env_id: str) -> dict[str, Any]:
    """The snapshot of a copy: an environment of its own, and no signature of the original's."""
    return {**unsigned(snapshot), "runt": {**unsigned(snapshot).get("runt", {}), "env_id": env_id}}


def unsigned(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A file's metadata, or a snapshot, without the signature that makes its packages trusted."""
    runt = metadata.get("runt")
    if not isinstance(runt, Mapping):
        return dict(metadata)
    rest = {key: value for key, value in runt.items() if key not in _SIGNATURE}
    return {**metadata, "runt": rest}


def merged_metadata(metadata: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A file's metadata brought up to date with the document's snapshot.

    What the snapshot says as the file does stays as it is in the file, also a group of a shape that
    the document can't hold. Fields we don't know stay in groups that are still there; a field or
    section that was cleared is gone.
    """
    merged = dict(metadata)
    before = metadata_snapshot(metadata)
    for key, fields in GROUPS.items():
        group = snapshot.get(key)
        if group == before.get(key):
            continue
        if group is None:
            merged.pop(key, None)
        elif key == "kernelspec" and group.get("name") != before.get(key, {}).get("name"):
            merged[key] = dict(group)  # another kernel: the fields of the old one don't fit
        else:
            merged[key] = _overlaid(metadata.get(key), group, fields)
    runt = snapshot.get("runt")
    if isinstance(runt, Mapping) and runt != before["runt"]:
        merged["runt"] = _merged_runt(metadata.get("runt"), runt)
    return merged


def _merged_runt(old: Any, new: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(old, Mapping):
        return dict(new)
    if parse_runt(old) is None:  # never read, so nothing in it was cleared
        return {**old, **new}
    merged = dict(new)
    for key, fields in SECTIONS.items():
        if isinstance(new.get(key), Mapping):
            merged[key] = _overlaid(old.get(key), new[key], fields)
    exact: dict[str, Any] = as_in_file(old, merged)
    return exact


def _overlaid(old: Any, new: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    if not isinstance(old, Mapping):
        return dict(new)
    return {**{key: value for key, value in old.items() if key not in known}, **new}
