"""What a room's .ipynb was at one moment: the base for merging what others write into it.

Versions are kept beside the document, so that a daemon that starts again still knows them. Pure:
bytes and values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import orjson

from runtimed.document.three_way import CellState, NotebookState

__all__ = ["FileVersion", "SavedState", "sha256"]

#: Versions that are kept on disk. At a crash the newest may not be in the document's file yet.
_KEPT = 3


@attrs.frozen
class FileVersion:
    """The file when it was last read or written.

    `digest` is the SHA-256 of its bytes, None for a file that is not there yet. `heads` are the
    document's when it contained all of this. `outputs` are the digests of what the file has as
    outputs, by cell: another program's rewriting of the same is no change. Unless `exact`, the
    document had more than the file at these heads.
    """

    digest: str | None
    heads: tuple[str, ...]
    state: NotebookState
    outputs: Mapping[str, str] = attrs.field(factory=dict)
    exact: bool = True


@attrs.frozen
class SavedState:
    """What a room remembers about its .ipynb. Versions are newest first.

    `writing` is one that may have been written: only the file itself can tell.
    """

    notebook_id: str
    versions: tuple[FileVersion, ...] = ()
    writing: FileVersion | None = None

    def to_bytes(self) -> bytes:
        value: dict[str, Any] = {
            "notebook_id": self.notebook_id,
            "versions": [_version_value(version) for version in self.versions[:_KEPT]],
        }
        if self.writing is not None:
            value["writing"] = _version_value(self.writing)
        try:
            return orjson.dumps(value)
        except TypeError:  # a notebook may have integers of any size
            return json.dumps(value, default=dict).encode()

    @classmethod
    def from_bytes(cls, notebook_id: str, data: bytes) -> SavedState:
        """Special cases: what can't be read is nothing remembered."""
        try:
            value: Any = json.loads(data)  # which keeps integers of any size
            writing = value.get("writing")
            return cls(
                notebook_id,
                tuple(map(_version, value["versions"])),
                None if writing is None else _version(writing),
            )
        except (ValueError, AttributeError, KeyError, TypeError):
            return cls(notebook_id)

    def seen(self, digest: str | None) -> SavedState:
        """The state when the file has this digest: whether `writing` came true is known then."""
        versions: Sequence[FileVersion] = self.versions
        if self.writing is not None and self.writing.digest == digest:
            versions = (self.writing, *versions)
        return SavedState(self.notebook_id, tuple(versions))


def _version_value(version: FileVersion) -> dict[str, Any]:
    return {
        "digest": version.digest,
        "heads": version.heads,
        "cells": [
            [
                cell.id,
                cell.cell_type,
                cell.source,
                cell.execution_count,
                cell.outputs,
                cell.metadata,
                cell.attachments,
            ]
            for cell in version.state.cells
        ],
        "snapshot": version.state.snapshot,
        "raw_metadata": version.state.raw_metadata,
        "outputs": version.outputs,
        "exact": version.exact,
    }


def _version(value: Any) -> FileVersion:
    return FileVersion(
        digest=value["digest"],
        heads=tuple(value["heads"]),
        state=NotebookState(
            cells=tuple(
                CellState(cell_id, kind, source, count, tuple(outputs), metadata, attachments)
                for cell_id, kind, source, count, outputs, metadata, attachments in value["cells"]
            ),
            snapshot=value["snapshot"],
            raw_metadata=value["raw_metadata"],
        ),
        outputs=value["outputs"],
        exact=value["exact"],
    )


def sha256(data: bytes) -> str:
    """The digest that names a version of a file."""
    return hashlib.sha256(data).hexdigest()
