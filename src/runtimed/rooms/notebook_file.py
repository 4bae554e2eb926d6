"""Reading the .ipynb of a room. Blocking functions: run them in a thread.

What is read is told as a change from a version that is known, with outputs as manifests; nothing
here touches a document.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from runtimed.document.cell_matching import distance, match_cells
from runtimed.document.ipynb import NotebookFile, parse_notebook
from runtimed.document.ipynb_outputs import outputs_digest
from runtimed.document.json_mapping import storable
from runtimed.document.metadata import snapshot_from_file
from runtimed.document.three_way import CellState, NotebookState
from runtimed.errors import NotebookUnreadable
from runtimed.outputs.attachments import build_attachments
from runtimed.outputs.json_text import compact_json
from runtimed.outputs.manifest import BLOB_LIMIT, Manifest, NewBlob, build_manifest
from runtimed.rooms.file_version import FileVersion, sha256

__all__ = ["LoadedNotebook", "read_digest", "read_if_other", "read_notebook"]


@attrs.frozen
class LoadedNotebook:
    """A file mapped to what a document takes.

    `base` is the version that it was changed from, None for a file that nobody here knows.
    `manifests` are what its outputs became, as far as they are not those of the base; `blobs` are
    the large parts of its attachments.
    """

    version: FileVersion
    base: FileVersion | None
    manifests: Sequence[Manifest]
    blobs: Sequence[NewBlob]


def read_notebook(path: Path, known: Sequence[FileVersion] = ()) -> LoadedNotebook:
    """Read and map a notebook file. `known` are earlier versions of it, newest first.

    Raises: NotebookUnreadable with a text that names the file and what is wrong with it.
    """
    data = _read(path)
    if data is None:
        raise NotebookUnreadable(f"Cannot access notebook '{path}': No such file or directory")
    return map_notebook(data, str(path), known)


def read_digest(path: Path) -> str | None:
    """The digest of a notebook file; None if it is missing. Raises: NotebookUnreadable."""
    data = _read(path)
    return None if data is None else sha256(data)


def read_if_other(path: Path, known: Sequence[FileVersion]) -> LoadedNotebook | None:
    """The notebook file; None if it is missing, or the newest known version.

    Raises: NotebookUnreadable.
    """
    data = _read(path)
    if data is None or (known and known[0].digest == sha256(data)):
        return None
    return map_notebook(data, str(path), known)


def _read(path: Path) -> bytes | None:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise NotebookUnreadable(f"Cannot access notebook '{path}': it is no regular file")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotebookUnreadable(
            f"Cannot access notebook '{path}': {error.strerror or error}"
        ) from error


def map_notebook(data: bytes, name: str, known: Sequence[FileVersion]) -> LoadedNotebook:
    """Map the bytes of a notebook file. Raises: NotebookUnreadable."""
    file: NotebookFile = parse_notebook(data, name)
    digest = sha256(data)
    base, ids = _find_base(file, digest, known)
    before = base.state.by_id if base is not None else {}
    manifests: list[Manifest] = []
    blobs: list[NewBlob] = []
    cells = []
    outputs = {}
    for cell, cell_id in zip(file.cells, ids, strict=True):
        old = before.get(cell_id)
        outputs[cell_id] = outputs_digest(cell.outputs)
        if old is not None and base is not None and base.outputs.get(cell_id) == outputs[cell_id]:
            entries = old.outputs
        else:
            what = f"{name}: an output of cell {cell.id}"
            entries = tuple(_entries(cell.outputs, manifests, what))
        # A count stands in the file with code alone.
        count = cell.execution_count if cell.cell_type == "code" or old is None else None
        if old is not None and cell.cell_type == old.cell_type != "code":
            count = old.execution_count
        cells.append(
            CellState(
                id=cell_id,
                cell_type=cell.cell_type,
                source=cell.source,
                execution_count=count,
                outputs=entries,
                metadata=storable(cell.metadata),
                attachments=build_attachments(cell.attachments, blobs),
            )
        )
    for blob in blobs:
        _check_size(len(blob.data), f"{name}: an attachment")
    state = NotebookState(
        cells=tuple(cells),
        snapshot=snapshot_from_file(file.metadata),
        raw_metadata=base.state.raw_metadata if base is not None else {},
    )
    return LoadedNotebook(FileVersion(digest, (), state, outputs), base, manifests, blobs)


def _find_base(
    file: NotebookFile, digest: str, known: Sequence[FileVersion]
) -> tuple[FileVersion | None, list[str]]:
    """The version that a file was changed from, and the ids of its cells.

    A program that had read the file before we wrote it writes a version changed from that older
    one; so the closest is taken. A file that is an older version to the byte was brought back on
    purpose, so it is a change of the newest.
    """
    if not known:
        return None, [cell.id for cell in file.cells]
    candidates = known
    if any(version.digest == digest for version in known):
        candidates = known[:1]
    best: tuple[int, FileVersion, list[str]] | None = None
    for version in candidates:
        ids = match_cells(version.state, file.cells)
        away = 0
        if len(candidates) > 1:
            sources = [cell.source for cell in file.cells]
            away = distance(version.state, zip(ids, sources, strict=True))
        if best is None or away < best[0]:
            best = (away, version, ids)
    assert best is not None
    return best[1], best[2]


def _entries(
    outputs: Sequence[dict[str, Any]], manifests: list[Manifest], what: str
) -> Iterator[str]:
    for output in outputs:
        try:
            manifest = build_manifest(output)
        except ValueError:
            # An output type this version does not know stays as it is.
            yield _raw_entry(output, what)
        else:
            _check_size(manifest.largest, what)
            manifests.append(manifest)
            yield manifest.hash


def _raw_entry(output: dict[str, Any], what: str) -> str:
    try:
        return compact_json(output).decode()
    except ValueError as error:
        raise NotebookUnreadable(f"{what} can't be kept: {error}") from error


def _check_size(size: int, what: str) -> None:
    if size > BLOB_LIMIT:
        raise NotebookUnreadable(
            f"{what} has {size} bytes, and at most {BLOB_LIMIT} can be kept: remove it"
        )
