"""Notebook metadata between a file and the shared document.

The document holds three groups of it, in a fixed shape (the snapshot); all the rest stays in the
file. Merging touches only the groups that were changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["cloned_snapshot", "merged_metadata", "metadata_snapshot", "unsigned"]

_DEFAULT_RUNT = {"schema_version": "1"}
_SIGNATURE = ("trust_signature", "trust_timestamp")
_TEXT, _TEXTS, _FLAG = "text", "texts", "flag"

# Known fields; those with a default may be left out, those after "?" too.
_KERNELSPEC = {"name": _TEXT, "display_name": _TEXT, "?language": _TEXT}
_LANGUAGE_INFO = {"name": _TEXT, "?version": _TEXT}
_SECTIONS: dict[str, dict[str, str]] = {
    "uv": {"dependencies": _TEXTS, "?requires-python": _TEXT, "?prerelease": _TEXT},
    "conda": {"dependencies": _TEXTS, "channels": _TEXTS, "?python": _TEXT},
    "deno": {
        "permissions": _TEXTS,
        "?import_map": _TEXT,
        "?config": _TEXT,
        "?flexible_npm_imports": _FLAG,
    },
}


def metadata_snapshot(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a file's metadata that the document holds.

    A group of the wrong shape counts as absent; `runt` is always there, and takes up dependency
    sections from where older programs put them.
    """
    snapshot: dict[str, Any] = {}
    for key, shape in (("kernelspec", _KERNELSPEC), ("language_info", _LANGUAGE_INFO)):
        group = _shaped(metadata.get(key), shape)
        if group is not None:
            snapshot[key] = group
    runt = _runt(metadata.get("runt"))
    if runt is None:
        runt = dict(_DEFAULT_RUNT)
        for key in ("uv", "conda"):
            section = _shaped(metadata.get(key), _SECTIONS[key])
            if section is not None:
                runt[key] = section
    snapshot["runt"] = runt
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

    What the snapshot says as the file does stays as it is in the file. Fields we don't know stay in
    groups that are still there; a field or section that was cleared is gone.
    """
    merged = dict(metadata)
    before = metadata_snapshot(metadata)
    for key, shape in (("kernelspec", _KERNELSPEC), ("language_info", _LANGUAGE_INFO)):
        group = snapshot.get(key)
        if group == before.get(key):
            continue
        if group is None:
            merged.pop(key, None)
        elif key == "kernelspec" and group.get("name") != before.get(key, {}).get("name"):
            merged[key] = dict(group)  # another kernel: the fields of the old one don't fit
        else:
            merged[key] = _overlaid(metadata.get(key), group, shape)
    runt = snapshot.get("runt")
    if isinstance(runt, Mapping) and runt != before["runt"]:
        merged["runt"] = _merged_runt(metadata.get("runt"), runt)
    return merged


def _merged_runt(old: Any, new: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(old, Mapping):
        return dict(new)
    if _runt(old) is None:  # never read, so nothing in it was cleared
        return {**old, **new}
    merged = dict(new)
    for key, shape in _SECTIONS.items():
        if isinstance(new.get(key), Mapping):
            merged[key] = _overlaid(old.get(key), new[key], shape)
    return merged


def _overlaid(old: Any, new: Mapping[str, Any], shape: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(old, Mapping):
        return dict(new)
    known = {name.lstrip("?") for name in shape}
    return {**{key: value for key, value in old.items() if key not in known}, **new}


def _runt(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("schema_version"), str):
        return None
    runt = dict(value)
    for key in ("env_id", "trust_signature", "trust_timestamp"):
        if runt.get(key) is None:
            runt.pop(key, None)
        elif not isinstance(runt[key], str):
            return None
    for key, shape in _SECTIONS.items():
        if runt.get(key) is None:
            runt.pop(key, None)
            continue
        section = _shaped(runt[key], shape)
        if section is None:
            return None
        runt[key] = section
    return runt


def _shaped(value: Any, shape: Mapping[str, str]) -> dict[str, Any] | None:
    """The known fields of an object, or None if it hasn't the shape."""
    if not isinstance(value, Mapping):
        return None
    shaped: dict[str, Any] = {}
    for name, kind in shape.items():
        key = name.lstrip("?")
        field = value.get(key)
        if field is None and name.startswith("?"):
            continue
        if kind == _TEXTS:
            field = [] if field is None and key not in value else field
            if not isinstance(field, list) or not all(isinstance(item, str) for item in field):
                return None
            shaped[key] = list(field)
        elif isinstance(field, bool if kind == _FLAG else str):
            shaped[key] = field
        else:
            return None
    return shaped
