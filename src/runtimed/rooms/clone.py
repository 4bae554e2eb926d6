"""Writing a copy of a notebook: its cells without what running them left. For a thread."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from runtimed.document.ipynb_metadata import cloned_snapshot, metadata_snapshot, unsigned
from runtimed.document.notebook import CellSnapshot
from runtimed.errors import SaveRefused
from runtimed.rooms.notebook_saving import ReadBlob, read_base, render_cells, replace_file

__all__ = ["write_clone"]


def write_clone(
    target: Path,
    cells: Sequence[CellSnapshot],
    snapshot: Mapping[str, Any] | None,
    read_blob: ReadBlob,
    base: Path | None,
    *,
    overwrite: bool,
) -> None:
    """Write a copy of a notebook, for a life of its own: its `env_id` is fresh, and nobody has
    approved its dependencies. Outputs and execution counts are left out, attachments are not.

    `base` is the notebook's own file, for what the document doesn't hold.
    Raises: SaveRefused, also for a file that exists unless it may be overwritten; OSError.
    """
    raw = read_base(base) or {}
    metadata = unsigned(raw.get("metadata", {}))
    data = render_cells(
        [attrs.evolve(cell, outputs=(), execution_count=None) for cell in cells],
        cloned_snapshot(snapshot or metadata_snapshot(metadata), str(uuid.uuid4())),
        read_blob,
        {**raw, "metadata": metadata},
    )
    if overwrite:
        replace_file(target, data)
        return
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError as error:
        raise SaveRefused(
            f"'{target}' exists already: choose another path, or pass overwrite=True to replace it"
        ) from error
    try:
        replace_file(target, data)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
