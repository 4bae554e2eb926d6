"""Reading and writing the .ipynb of a room. Blocking functions: run them in a thread.

Between the file's outputs and the document's stand manifests; nothing here touches a document.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from runtimed.document.ipynb import NotebookFile, SavedCell, parse_notebook, render_notebook
from runtimed.document.notebook import CellSnapshot, NewCell
from runtimed.document.widget_state import with_widgets
from runtimed.errors import NotebookUnreadable, RuntimedError, SaveRefused
from runtimed.outputs.attachments import build_attachments, resolve_attachments
from runtimed.outputs.json_text import compact_json, parse_json
from runtimed.outputs.manifest import (
    BLOB_LIMIT,
    Manifest,
    NewBlob,
    build_manifest,
    resolve_manifest,
)
from runtimed.protocol.structures import CommSnapshot

__all__ = [
    "LoadedNotebook",
    "ReadBlob",
    "notebook_target",
    "read_base",
    "read_notebook",
    "render_cells",
    "replace_file",
    "write_notebook",
]


def _read_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    value = os.umask(0o077)
    os.umask(value)
    return value


#: Read once, while there is one thread.
_UMASK = _read_umask()

#: Reads a blob; None when it is not there.
ReadBlob = Callable[[str], bytes | None]


@attrs.frozen
class LoadedNotebook:
    """A file mapped to what a document takes.

    `manifests` are what its outputs became, `blobs` the large parts of its attachments.
    """

    digest: str
    cells: Sequence[NewCell]
    manifests: Sequence[Manifest]
    snapshot: dict[str, Any]
    blobs: Sequence[NewBlob] = ()


def read_notebook(path: Path) -> LoadedNotebook:
    """Read and map a notebook file.

    Raises: NotebookUnreadable with a text that names the file and what is wrong with it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotebookUnreadable(
            f"Cannot access notebook '{path}': {error.strerror or error}"
        ) from error
    file: NotebookFile = parse_notebook(data, str(path))
    manifests: list[Manifest] = []
    blobs: list[NewBlob] = []
    cells = []
    for cell in file.cells:
        entries = []
        for output in cell.outputs:
            try:
                manifest = build_manifest(output)
            except ValueError:
                # An output type this version does not know stays as it is.
                entries.append(_raw_entry(output, f"{path}: an output of cell {cell.id}"))
            else:
                _check_size(manifest.largest, f"{path}: an output of cell {cell.id}")
                manifests.append(manifest)
                entries.append(manifest.hash)
        cells.append(
            NewCell(
                id=cell.id,
                cell_type=cell.cell_type,
                source=cell.source,
                execution_count=cell.execution_count,
                outputs=tuple(entries),
                metadata=cell.metadata,
                attachments=build_attachments(cell.attachments, blobs),
            )
        )
    for blob in blobs:
        _check_size(len(blob.data), f"{path}: an attachment")
    return LoadedNotebook(
        digest=hashlib.sha256(data).hexdigest(),
        cells=cells,
        manifests=manifests,
        snapshot=file.snapshot,
        blobs=blobs,
    )


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


def write_notebook(
    target: Path,
    cells: Sequence[CellSnapshot],
    snapshot: dict[str, Any] | None,
    read_blob: ReadBlob,
    base: Path | None,
    widgets: Sequence[CommSnapshot] = (),
) -> str:
    """Write a notebook beside its target and rename it; the SHA-256 of what was written.

    `base` is the file whose unknown keys are kept. Its absence is fine; a base that can't be read
    as a notebook is one that a save must not overwrite.

    Raises: SaveRefused, OSError. Nothing has been written then.
    """
    data = render_cells(cells, snapshot, read_blob, read_base(base), widgets)
    replace_file(target, data)
    return hashlib.sha256(data).hexdigest()


def render_cells(
    cells: Sequence[CellSnapshot],
    snapshot: Mapping[str, Any] | None,
    read_blob: ReadBlob,
    base: Mapping[str, Any] | None,
    widgets: Sequence[CommSnapshot] = (),
) -> bytes:
    """The bytes of a notebook file, all blobs in place. `widgets` are those that live now.

    Raises: SaveRefused if one of them is gone.
    """
    saved = [
        SavedCell(
            id=cell.id,
            cell_type=cell.cell_type,
            source=cell.source,
            execution_count=cell.execution_count,
            outputs=_resolve(cell, read_blob) if cell.cell_type == "code" else [],
            metadata=cell.metadata,
            attachments=_resolve_attachments(cell, read_blob),
        )
        for cell in cells
    ]
    return render_notebook(saved, snapshot, with_widgets(base, saved, widgets))


def notebook_target(path: Path, what: str) -> Path:
    """The file that `what` (save, clone) writes when it is given this path.

    Raises: RuntimedError for a path that is none.
    """
    if not path.is_absolute():
        raise RuntimedError(
            f"Relative paths are not supported for {what}: '{path}'. "
            "Please provide an absolute path."
        )
    if not path.name or "\0" in str(path):
        raise RuntimedError(f"Not a path of a file: {str(path)!r}")
    return path if path.suffix == ".ipynb" else path.with_name(path.name + ".ipynb")


def read_base(base: Path | None) -> dict[str, Any] | None:
    """The file that a save starts from; None where there is none yet.

    Raises: SaveRefused for one that a save must not replace, OSError.
    """
    if base is None:
        return None
    if base.exists() and not base.is_file():  # reading a pipe would wait for ever
        raise SaveRefused(f"{base} is no regular file; save to another path")
    try:
        data = base.read_bytes()
    except FileNotFoundError:
        return None
    if not data.strip():
        return None
    try:
        return parse_notebook(data, str(base)).raw
    except NotebookUnreadable as error:
        raise SaveRefused(
            f"{error}; saving would overwrite it. Move it away or save to another path"
        ) from error


def _resolve(cell: CellSnapshot, read_blob: ReadBlob) -> list[dict[str, Any]]:
    outputs = []
    for number, entry in enumerate(cell.outputs, 1):
        try:
            outputs.append(resolve_entry(entry, read_blob))
        except (LookupError, ValueError) as error:
            raise SaveRefused(
                f"output {number} of cell {cell.id} can't be read ({error}); "
                "nothing was saved, so that it is not lost in the file too. "
                "Run the cell again or clear its outputs"
            ) from error
    return outputs


def _resolve_attachments(cell: CellSnapshot, read_blob: ReadBlob) -> dict[str, dict[str, Any]]:
    try:
        return resolve_attachments(cell.attachments, _demanding(read_blob))
    except LookupError as error:
        raise SaveRefused(
            f"the attachments of cell {cell.id} can't be read ({error}); nothing was saved, "
            "so that they are not lost in the file too. Attach them again"
        ) from error


def resolve_entry(entry: str, read_blob: ReadBlob) -> dict[str, Any]:
    """The nbformat output behind one entry of a cell's output list.

    Raises: LookupError for a blob that is not there, ValueError for an entry that is no output.
    """
    read = _demanding(read_blob)
    # The hash form is tested first: an all-digit hash is also valid JSON.
    if is_blob_hash(entry):
        return resolve_manifest(parse_json(read(entry)), read)
    output = parse_json(entry)
    if not isinstance(output, dict):
        raise ValueError("not an output")
    return output


def _demanding(read_blob: ReadBlob) -> Callable[[str], bytes]:
    def read(digest: str) -> bytes:
        data = read_blob(digest)
        if data is None:
            raise LookupError(f"blob {digest[:12]} is missing")
        return data

    return read


def is_blob_hash(entry: str) -> bool:
    return len(entry) == 64 and all(digit in "0123456789abcdef" for digit in entry)


def replace_file(target: Path, data: bytes) -> None:
    """Write beside the target and rename. Mode and links stay. Raises: OSError; nothing changed."""
    target = Path(os.path.realpath(target))  # a link stays a link to the file that is replaced
    mode = None
    with contextlib.suppress(OSError):
        mode = target.stat().st_mode & 0o7777
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode if mode is not None else 0o666 & ~_UMASK)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
