"""The notebook's metadata: its snapshot JSON, and that snapshot in a document.

A snapshot has `kernelspec`, `language_info` and `runt`. Every group is checked on its own, and one
that doesn't have its shape counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automerge.core import Document, ObjType, Transaction

from runtimed.document.cell_values import part
from runtimed.document.guarded import get
from runtimed.document.json_mapping import OnMade, read_key, write_key
from runtimed.errors import RuntimedError

__all__ = [
    "DEFAULT_RUNT",
    "GROUPS",
    "SECTIONS",
    "parse_runt",
    "parse_snapshot",
    "read_snapshot",
    "snapshot_from_file",
    "write_snapshot",
]

DEFAULT_RUNT: Mapping[str, Any] = {"schema_version": "1"}

_PRERELEASE = ("disallow", "allow", "if-necessary", "explicit", "if-necessary-or-explicit")

# Fields by name: (type, required). Lists are lists of strings, and default to empty.
_Fields = Mapping[str, tuple[type, bool]]
_KERNELSPEC: _Fields = {
    "name": (str, True),
    "display_name": (str, True),
    "language": (str, False),
}
_LANGUAGE_INFO: _Fields = {"name": (str, True), "version": (str, False)}
_UV: _Fields = {
    "dependencies": (list, False),
    "requires-python": (str, False),
    "prerelease": (str, False),
}
_CONDA: _Fields = {
    "dependencies": (list, False),
    "channels": (list, False),
    "python": (str, False),
}
_DENO: _Fields = {
    "permissions": (list, False),
    "import_map": (str, False),
    "config": (str, False),
    "flexible_npm_imports": (bool, False),
}
SECTIONS: Mapping[str, _Fields] = {"uv": _UV, "conda": _CONDA, "deno": _DENO}
GROUPS: Mapping[str, _Fields] = {"kernelspec": _KERNELSPEC, "language_info": _LANGUAGE_INFO}


def parse_snapshot(value: object) -> dict[str, Any]:
    """Check a snapshot, as a client sends it.

    Returns: the snapshot in its normal form: nulls and unknown keys of closed groups left out.
    Raises: RuntimedError if it isn't one.
    """
    if not isinstance(value, Mapping):
        raise RuntimedError("Invalid notebook metadata: not an object")
    snapshot: dict[str, Any] = {}
    for group, fields in GROUPS.items():
        if value.get(group) is not None:
            parsed = _closed(value[group], fields)
            if parsed is None:
                raise RuntimedError(f"Invalid notebook metadata: {group}")
            snapshot[group] = parsed
    runt = parse_runt(value.get("runt"))
    if runt is None:
        raise RuntimedError("Invalid notebook metadata: runt")
    snapshot["runt"] = runt
    return snapshot


def snapshot_from_file(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot that the metadata of a notebook file stands for.

    Special cases: files without a valid `runt` may keep their dependencies in `uv` and `conda` at
    the top, as older versions wrote them.
    """
    snapshot = _groups(metadata)
    runt = parse_runt(metadata.get("runt"))
    if runt is None:
        runt = dict(DEFAULT_RUNT)
        for section in ("uv", "conda"):
            parsed = _closed(metadata.get(section), SECTIONS[section])
            if parsed is not None:
                runt[section] = parsed
    snapshot["runt"] = runt
    return snapshot


def read_snapshot(doc: Document, metadata: bytes) -> dict[str, Any] | None:
    """The snapshot in a document; None while it has none."""
    values = {
        key: read_key(doc, metadata, key)
        for key in (*GROUPS, "runt")
        if part(doc, metadata, key, ObjType.Map) is not None
    }
    snapshot = _groups(values)
    runt = parse_runt(values.get("runt"))
    if not snapshot and runt is None:
        return None
    snapshot["runt"] = dict(DEFAULT_RUNT) if runt is None else runt
    return snapshot


def write_snapshot(
    doc: Document, t: Transaction, metadata: bytes, snapshot: Mapping[str, Any], made: OnMade
) -> None:
    """Put a snapshot into a document: only the leaves that differ, other metadata untouched.

    Special cases: a group that the snapshot lacks is removed. Keys of a closed group that a
    snapshot can't express stay, as long as the group is still about the same thing.
    Raises: RuntimedError if it is no snapshot.
    """
    new = parse_snapshot(snapshot)
    for group, fields in GROUPS.items():
        if group in new:
            old = read_key(doc, metadata, group)
            extras = _unknown(old, fields) if _named_alike(old, new[group]) else {}
            write_key(doc, t, metadata, group, {**new[group], **extras}, made)
        elif get(doc, metadata, group) is not None:
            t.delete(metadata, group)
    runt = dict(new["runt"])
    old = read_key(doc, metadata, "runt")
    for section, fields in SECTIONS.items():
        if section in runt and isinstance(old, dict):
            runt[section] = {**runt[section], **_unknown(old.get(section), fields)}
    write_key(doc, t, metadata, "runt", runt, made)


def _groups(values: Mapping[str, Any]) -> dict[str, Any]:
    parsed = {group: _closed(values.get(group), fields) for group, fields in GROUPS.items()}
    return {group: value for group, value in parsed.items() if value is not None}


def parse_runt(value: object) -> dict[str, Any] | None:
    """The `runt` group in its normal form; None if it doesn't have its shape."""
    if not isinstance(value, Mapping) or not isinstance(value.get("schema_version"), str):
        return None
    runt: dict[str, Any] = {}
    for key, item in value.items():
        if key in SECTIONS:
            if item is None:
                continue
            item = _closed(item, SECTIONS[key])
            if item is None:
                return None
        elif key in ("env_id", "trust_signature", "trust_timestamp"):
            if item is None:
                continue
            if not isinstance(item, str):
                return None
        runt[key] = item
    return runt


def _closed(value: Any, fields: _Fields) -> dict[str, Any] | None:
    """A group whose keys are all known; None if it doesn't have its shape."""
    if not isinstance(value, Mapping):
        return None
    parsed: dict[str, Any] = {}
    for key, (kind, required) in fields.items():
        item: Any = value.get(key)
        if item is None:
            if required or (kind is list and key in value):
                return None
            if kind is list:
                parsed[key] = []
            continue
        if not isinstance(item, kind):
            return None
        if isinstance(item, list):
            item = list(item)
            if not all(isinstance(element, str) for element in item):
                return None
        if key == "prerelease" and item not in _PRERELEASE:
            return None
        parsed[key] = item
    return parsed


def _unknown(value: object, fields: _Fields) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return {key: item for key, item in value.items() if key not in fields}


def _named_alike(old: object, new: Mapping[str, Any]) -> bool:
    return isinstance(old, Mapping) and old.get("name") == new["name"]
