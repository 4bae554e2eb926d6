"""Notebook files: bytes to values and back.

Reads what Jupyter and its relatives write, and writes what Jupyter would write, byte for byte where
nothing has changed. Knows neither files nor the shared document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

import attrs

from runtimed.document.ipynb_metadata import merged_metadata, metadata_snapshot
from runtimed.document.ipynb_outputs import (
    chosen_outputs,
    is_lines,
    join_attachments,
    join_output,
    joined,
    merge_streams,
    same_attachments,
    split_attachments,
    split_output,
)
from runtimed.document.json_mapping import as_in_file, storable
from runtimed.errors import NotebookUnreadable, RuntimedError

__all__ = [
    "FileCell",
    "NotebookFile",
    "SavedCell",
    "file_cell_ids",
    "merge_streams",
    "parse_notebook",
    "render_notebook",
]

_FORMAT, _MINOR = 4, 5
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_HALF_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_CELL_KEYS = frozenset(
    {"attachments", "cell_type", "execution_count", "id", "metadata", "outputs", "source"}
)
# What nbformat calls "transient": of use to one program at one time, and never in a file.
_NOT_IN_METADATA = ("orig_nbformat", "orig_nbformat_minor", "signature")
_NOT_IN_CELL_METADATA = ("trusted",)


@attrs.frozen
class FileCell:
    """A cell of a file. Texts are joined; `raw` is the cell as it is there, its `id` repaired.

    `attachments` are bundles (MIME type -> content) by name; what is no bundle is in `raw` only.
    Without `has_id`, its id was made up here.
    """

    id: str
    cell_type: str
    source: str
    execution_count: int | None
    outputs: list[dict[str, Any]]
    metadata: dict[str, Any]
    raw: dict[str, Any] = attrs.field(repr=False)
    attachments: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    has_id: bool = True


@attrs.frozen
class NotebookFile:
    """A parsed notebook file.

    `snapshot` is the part of `metadata` that goes into the shared document; `raw` is the whole
    file, with an `id` in each cell, fit to be the `base` of `render_notebook`.
    """

    cells: list[FileCell]
    metadata: dict[str, Any]
    snapshot: dict[str, Any]
    nbformat_minor: int
    raw: dict[str, Any] = attrs.field(repr=False)


@attrs.frozen
class SavedCell:
    """A cell to be written, its outputs resolved. Without `attachments` those of the base stay."""

    id: str
    cell_type: str
    source: str
    execution_count: int | None = None
    outputs: Sequence[Mapping[str, Any]] = ()
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    attachments: Mapping[str, Any] | None = None


def parse_notebook(data: bytes, name: str) -> NotebookFile:
    """Read the bytes of a notebook file; `name` is for error messages.

    Files of nbformat 3 and older are upgraded. Missing, invalid and repeated cell ids are replaced,
    the same way each time.
    Raises: NotebookUnreadable if this is no notebook, one of a later major version, or one with
    pieces that can't be kept.
    """
    raw = _load_json(data, name)
    if not isinstance(raw, dict):
        raise NotebookUnreadable(f"{name}: Notebook is not a JSON object")
    major = raw.get("nbformat", _FORMAT)
    if isinstance(major, bool) or not isinstance(major, int):
        raise NotebookUnreadable(f"{name}: 'nbformat' is not a number")
    if major > _FORMAT:
        raise NotebookUnreadable(
            f"{name}: nbformat {major} is newer than {_FORMAT}, the newest that can be read"
        )
    if major < _FORMAT or ("worksheets" in raw and "cells" not in raw):
        raw = _upgrade(raw, name)
    cells = raw.get("cells")
    if cells is None:
        if raw and "nbformat" not in raw and "metadata" not in raw:
            raise NotebookUnreadable(f"{name}: not a notebook: it has no 'cells'")
        cells = []
    if not isinstance(cells, list):
        raise NotebookUnreadable(f"{name}: 'cells' is not an array")
    metadata = raw.get("metadata")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict):
        raise NotebookUnreadable(f"{name}: 'metadata' is not an object")
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict):
            raise NotebookUnreadable(f"{name}: cell {number} is not an object")
    ids = file_cell_ids([cell.get("id") for cell in cells])
    parsed = [
        _parse_cell({**cell, "id": cell_id}, f"{name}: cell {number}", bool(cell.get("id")))
        for number, (cell, cell_id) in enumerate(zip(cells, ids, strict=True), 1)
    ]
    minor = raw.get("nbformat_minor")
    try:
        snapshot = metadata_snapshot(metadata)
    except RuntimedError as error:
        raise NotebookUnreadable(f"{name}: {error}") from error
    return NotebookFile(
        cells=parsed,
        metadata=_without(metadata, _NOT_IN_METADATA),
        snapshot=snapshot,
        nbformat_minor=minor if isinstance(minor, int) else 0,
        raw={**raw, "metadata": metadata, "cells": [cell.raw for cell in parsed]},
    )


def render_notebook(
    cells: Sequence[SavedCell], snapshot: Mapping[str, Any] | None, base: Mapping[str, Any] | None
) -> bytes:
    """The bytes of a notebook file.

    `base` is the file as it was (`NotebookFile.raw`), for all that the shared document doesn't
    hold: keys unknown to us, other metadata. Without `snapshot` its metadata stays as
    it is. Neighbouring stream outputs of one name are written as one, unless that is all that
    differs from the base.
    """
    base = base or {}
    old_cells = {
        cell["id"]: cell
        for cell in _items(base.get("cells"))
        if isinstance(cell, Mapping) and isinstance(cell.get("id"), str)
    }
    metadata = base.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    if snapshot is not None:
        metadata = merged_metadata(metadata, snapshot)
    minor = base.get("nbformat_minor")
    ids = file_cell_ids([cell.id for cell in cells])
    notebook = {
        **base,
        "metadata": _without(metadata, _NOT_IN_METADATA),
        "nbformat": _FORMAT,
        "nbformat_minor": max(minor, _MINOR) if isinstance(minor, int) else _MINOR,
        "cells": [
            _render_cell(cell, cell_id, old_cells.get(cell.id) or old_cells.get(cell_id, {}))
            for cell, cell_id in zip(cells, ids, strict=True)
        ],
    }
    parts: list[str] = []
    _write_json(notebook, "\n", parts.append)
    parts.append("\n")
    # Half a surrogate pair can't be UTF-8, but its escape is good JSON.
    return "".join(parts).encode("utf-8", "backslashreplace")


def file_cell_ids(ids: Sequence[object]) -> list[str]:
    """Ids as nbformat wants them: 1 to 64 letters, digits, `-` and `_`, none twice.

    Good ids stay; others become something like them or `cell-<n>`, the same way each time.
    """
    result: list[str | None] = []
    taken: set[str] = set()
    for cell_id in ids:
        good = isinstance(cell_id, str) and cell_id not in taken and _CELL_ID.fullmatch(cell_id)
        result.append(str(cell_id) if good else None)
        if good:
            taken.add(str(cell_id))
    for index, (cell_id, kept) in enumerate(zip(ids, result, strict=True)):
        if kept is None:
            name = re.sub(r"[^a-zA-Z0-9_-]", "-", cell_id)[:48] if isinstance(cell_id, str) else ""
            stem = candidate = name or f"cell-{index + 1}"
            number = 2
            while candidate in taken:
                candidate = f"{stem}-{number}"
                number += 1
            taken.add(candidate)
            result[index] = candidate
    return [cell_id for cell_id in result if cell_id is not None]


def _load_json(data: bytes, name: str) -> Any:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotebookUnreadable(f"{name}: line {line} is not UTF-8") from error
    if not text.strip():
        raise NotebookUnreadable(f"{name}: Invalid notebook JSON: the file is empty")
    try:
        # NaN and the infinities are what Python's writer makes of them, but no JSON.
        value = json.loads(text, parse_constant=lambda _: None)
        if _HALF_SURROGATE.search(data):
            value = _without_half_surrogates(value)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotebookUnreadable(f"{name}: Invalid notebook JSON: {error.msg} ({where})") from error
    except (ValueError, RecursionError) as error:
        raise NotebookUnreadable(f"{name}: Invalid notebook JSON: {error}") from error
    return value


def _without_half_surrogates(value: Any) -> Any:
    """The value with U+FFFD in place of what the shared document could not hold."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


def _upgrade(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """The notebook in the current format. Its random cell ids are dropped: ours are repeatable."""
    import nbformat  # slow to import, and seldom needed

    if raw.get("nbformat", _FORMAT) == _FORMAT:
        raw = {**raw, "nbformat": 3}  # it has worksheets, whatever it says
    try:
        node = nbformat.reader.reads(json.dumps(raw))
        upgraded = nbformat.convert(node, _FORMAT)
    except Exception as error:
        raise NotebookUnreadable(
            f"{name}: can't be upgraded from nbformat {raw.get('nbformat')}: "
            f"{type(error).__name__}: {error}"
        ) from error
    notebook: dict[str, Any] = json.loads(json.dumps(upgraded))
    for cell in notebook.get("cells", []):
        cell.pop("id", None)
    return notebook


def _parse_cell(raw: dict[str, Any], where: str, has_id: bool) -> FileCell:
    cell_type = raw.get("cell_type", "code")
    if not isinstance(cell_type, str):
        raise NotebookUnreadable(f"{where}: 'cell_type' is not a text")
    metadata = raw.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise NotebookUnreadable(f"{where}: 'metadata' is not an object")
    source = raw.get("source")
    if source is not None and not isinstance(source, str) and not is_lines(source):
        raise NotebookUnreadable(f"{where}: 'source' is neither a text nor a list of lines")
    outputs = raw.get("outputs")
    if outputs is None:
        outputs = []
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise NotebookUnreadable(f"{where}: 'outputs' is not an array of objects")
    if not all(isinstance(output.get("output_type", ""), str) for output in outputs):
        raise NotebookUnreadable(f"{where}: the 'output_type' of an output is not a text")
    count = raw.get("execution_count")
    try:
        storable(metadata or {})
    except RuntimedError as error:
        raise NotebookUnreadable(f"{where}: {error}") from error
    return FileCell(
        id=raw["id"],
        cell_type=cell_type,
        source=joined(source),
        execution_count=count if isinstance(count, int) and not isinstance(count, bool) else None,
        outputs=[join_output(output) for output in outputs],
        metadata=_without(metadata or {}, _NOT_IN_CELL_METADATA),
        raw=raw,
        attachments=join_attachments(raw.get("attachments")),
        has_id=has_id,
    )


def _render_cell(cell: SavedCell, cell_id: str, old: Mapping[str, Any]) -> dict[str, Any]:
    rendered: dict[str, Any] = {key: old[key] for key in old if key not in _CELL_KEYS}
    rendered["id"] = cell_id
    rendered["cell_type"] = cell.cell_type
    rendered["metadata"] = _without(
        as_in_file(old.get("metadata"), cell.metadata), _NOT_IN_CELL_METADATA
    )
    rendered["source"] = cell.source.splitlines(keepends=True)
    unknown = cell.cell_type not in ("code", "markdown", "raw")
    if cell.cell_type == "code" or (unknown and "outputs" in old):
        rendered["outputs"] = [
            split_output(output) for output in chosen_outputs(cell.outputs, old.get("outputs"))
        ]
    if cell.cell_type == "code" or (unknown and "execution_count" in old):
        rendered["execution_count"] = cell.execution_count
    attachments = _rendered_attachments(cell, old)
    if attachments is not None:
        rendered["attachments"] = attachments
    return rendered


def _rendered_attachments(cell: SavedCell, old: Mapping[str, Any]) -> Any:
    """The attachments for the file, None for none. Those that say what the file's do are these."""
    before = old.get("attachments")
    keeps = cell.cell_type in ("markdown", "raw") or cell.cell_type == old.get("cell_type")
    if cell.attachments is None:
        return split_attachments(before) if keeps else None
    readable = join_attachments(before)
    if before is not None and keeps and same_attachments(cell.attachments, readable):
        return split_attachments(before)
    if not isinstance(before, Mapping):
        before = {}
    unread = {name: bundle for name, bundle in before.items() if name not in readable}
    return split_attachments({**unread, **cell.attachments}) or None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _without(mapping: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _write_json(value: Any, newline: str, write: Callable[[str], Any]) -> None:
    """What `json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)` gives, but quicker.

    `newline` is a newline with the indentation of the value itself. Non-finite numbers are null.
    """
    if isinstance(value, str):
        write(encode_basestring(value))
    elif isinstance(value, Mapping):
        if not value:
            write("{}")
            return
        inner = newline + " "
        separator = "{" + inner
        for key in sorted(value):
            write(separator)
            write(encode_basestring(key))
            write(": ")
            _write_json(value[key], inner, write)
            separator = "," + inner
        write(newline + "}")
    elif isinstance(value, (list, tuple)):
        if not value:
            write("[]")
            return
        inner = newline + " "
        separator = "[" + inner
        for item in value:
            write(separator)
            _write_json(item, inner, write)
            separator = "," + inner
        write(newline + "]")
    elif value is True:
        write("true")
    elif value is False:
        write("false")
    elif value is None or (isinstance(value, float) and not isfinite(value)):
        write("null")
    elif isinstance(value, int):
        write(int.__repr__(value))
    elif isinstance(value, float):
        write(float.__repr__(value))
    else:
        raise TypeError(f"not JSON: {type(value).__name__}")
