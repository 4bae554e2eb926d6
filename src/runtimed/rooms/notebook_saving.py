"""Writing the .ipynb of a room. Blocking functions: run them in a thread.

A save that would lose something refuses; one that would overwrite what others wrote says so.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from runtimed.document.ipynb import SavedCell, parse_notebook, render_notebook
from runtimed.document.ipynb_outputs import outputs_digest
from runtimed.document.notebook import CellSnapshot
from runtimed.document.three_way import CellState
from runtimed.document.widget_state import with_widgets
from runtimed.errors import NotebookUnreadable, RuntimedError, SaveRefused
from runtimed.outputs.attachments import resolve_attachments
from runtimed.outputs.json_text import is_deeper, parse_json
from runtimed.outputs.manifest import resolve_manifest
from runtimed.protocol.structures import CommSnapshot
from runtimed.rooms.file_version import sha256

__all__ = [
    "ChangedUnderneath",
    "ReadBlob",
    "Written",
    "is_same_file",
    "notebook_target",
    "read_base",
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

#: How deep an output may nest: what is written must be readable again, which ends before 490.
_DEEPEST = 450

#: Reads a blob; None when it is not there.
ReadBlob = Callable[[str], bytes | None]


class ChangedUnderneath(Exception):
    """The file is not what it was expected to be; nothing was written."""


@attrs.frozen
class Written:
    """What was written: the SHA-256 of the file, and the digests of the outputs by cell."""

    digest: str
    outputs: dict[str, str]


def write_notebook(
    target: Path,
    cells: Sequence[CellState],
    snapshot: Mapping[str, Any] | None,
    read_blob: ReadBlob,
    base: Path | None,
    *,
    widgets: Sequence[CommSnapshot] = (),
    expected: Container[str] | None = None,
    before_rename: Callable[[Written], None] = lambda written: None,
) -> Written:
    """Write a notebook beside its target and rename it.

    `base` is the file whose unknown keys are kept. Its absence is fine; a base that can't be read
    as a notebook is one that a save must not overwrite. With `expected`, digests of the target,
    one that is there and other than these is not overwritten. Nothing is written if the file has
    these bytes already.

    Raises: SaveRefused, ChangedUnderneath, OSError. Nothing has been written then.
    """

    def check() -> None:
        if expected is None:
            return
        found = file_digest(target)
        if found is not None and found not in expected:
            raise ChangedUnderneath

    def before() -> None:
        before_rename(written)
        check()

    check()
    saved = _saved_cells(cells, read_blob)
    data = _render(saved, snapshot, with_widgets(read_base(base), saved, widgets))
    outputs = {cell.id: outputs_digest(cell.outputs) for cell in saved}
    written = Written(sha256(data), outputs)
    if file_digest(target) != written.digest:
        replace_file(target, data, before)
    return written


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
    saved = _saved_cells(cells, read_blob)
    return _render(saved, snapshot, with_widgets(base, saved, widgets))


def _render(
    cells: Sequence[SavedCell], snapshot: Mapping[str, Any] | None, base: Mapping[str, Any] | None
) -> bytes:
    try:
        return render_notebook(cells, snapshot, base)
    except RecursionError as error:  # metadata, or keys of others, that could just be read
        raise SaveRefused(
            "the notebook's file is nested too deeply to be written again; nothing was saved. "
            "Remove what is nested from its metadata"
        ) from error


def _saved_cells(cells: Sequence[CellSnapshot | CellState], read_blob: ReadBlob) -> list[SavedCell]:
    return [
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


def is_same_file(path: Path, own: Path) -> bool:
    """Whether a path leads to a file, whose links are resolved, in whatever spelling."""
    if os.path.realpath(path) == os.fspath(own):
        return True
    try:
        return path.samefile(own)
    except OSError:
        return False


def file_digest(path: Path) -> str | None:
    """The SHA-256 of a file; None if it is missing. Raises: OSError, SaveRefused for no file."""
    _check_regular(path)
    try:
        return sha256(path.read_bytes())
    except FileNotFoundError:
        return None


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise SaveRefused(f"{path} is no regular file; save to another path")


def read_base(base: Path | None) -> dict[str, Any] | None:
    """The file that a save starts from; None where there is none yet.

    Raises: SaveRefused for one that a save must not replace, OSError.
    """
    if base is None:
        return None
    _check_regular(base)
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


def _resolve(cell: CellSnapshot | CellState, read_blob: ReadBlob) -> list[dict[str, Any]]:
    outputs = []
    for number, entry in enumerate(cell.outputs, 1):
        try:
            outputs.append(resolve_entry(entry, read_blob))
        except (LookupError, ValueError, RecursionError) as error:
            raise SaveRefused(
                f"output {number} of cell {cell.id} can't be read ({error}); "
                "nothing was saved, so that it is not lost in the file too. "
                "Run the cell again or clear its outputs"
            ) from error
    return outputs


def _resolve_attachments(
    cell: CellSnapshot | CellState, read_blob: ReadBlob
) -> dict[str, dict[str, Any]]:
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
    found = parse_json(read(entry) if is_blob_hash(entry) else entry)
    if not isinstance(found, dict) or not isinstance(found.get("output_type", ""), str):
        raise ValueError("not an output")
    output = resolve_manifest(found, read) if is_blob_hash(entry) else found
    if is_deeper(output, _DEEPEST):
        raise ValueError("nested too deeply")
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


def replace_file(
    target: Path, data: bytes, before_rename: Callable[[], object] = lambda: None
) -> None:
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
        before_rename()
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
