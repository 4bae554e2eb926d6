"""Trust of a notebook file that no daemon has open. Blocks."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import attrs

from runtimed.document.ipynb import NotebookFile, SavedCell, parse_notebook, render_notebook
from runtimed.environments.trust.content import Content, signature_of
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.key import make_key, read_key
from runtimed.environments.trust.signature import sign
from runtimed.environments.trust.standing import Standing, is_vouched_for, status_of
from runtimed.errors import NotebookUnreadable, RuntimedError
from runtimed.replacing import replace_file

__all__ = ["TrustedFile", "approve_file", "read_trusted_file"]


@attrs.frozen
class TrustedFile:
    """A notebook file and its standing."""

    file: NotebookFile
    standing: Standing


def read_trusted_file(path: Path, files: TrustFiles) -> TrustedFile:
    """What a notebook file asks for, and whether that is approved.

    Raises: NotebookUnreadable, TrustKeyUnusable.
    """
    return _judged(_read(path), str(path), read_key(files.key))


def approve_file(path: Path, files: TrustFiles, digest: str) -> Standing:
    """Sign a notebook file, if it asks for what was shown; `digest` is that of its content.

    Only the signature is added; a daemon that has the notebook open merges it.
    Raises: RuntimedError if it was changed, or can't be signed or written.
    """
    path = Path(os.path.realpath(path))  # a link stays a link to the file that is replaced
    key = make_key(files.key)
    data = _read(path)
    found = _judged(data, str(path), key)
    content = found.standing.content
    if content.digest != digest:
        raise RuntimedError(
            f"{path} was changed meanwhile: look at its dependencies again before you approve them"
        )
    if content.is_bare or found.standing.status == "trusted":
        return found.standing
    signed = _signed(found.file, sign(key, content.to_bytes()))
    standing = _judged(signed, str(path), key).standing
    if standing.needs_approval or standing.content != content:
        raise RuntimedError(
            f"{path} can't be signed: its metadata 'runt' has not the shape that it must have. "
            "Correct it, or delete what you do not need of it"
        )
    if _read(path) != data:
        raise RuntimedError(f"{path} was changed meanwhile: try again")
    try:
        replace_file(path, signed)
    except OSError as error:
        raise RuntimedError(f"{path} can't be written: {error.strerror or error}") from error
    return standing


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise NotebookUnreadable(f"Cannot access notebook '{path}': it is no regular file")
        return path.read_bytes()
    except OSError as error:
        raise NotebookUnreadable(
            f"Cannot access notebook '{path}': {error.strerror or error}"
        ) from error


def _judged(data: bytes, name: str, key: bytes | None) -> TrustedFile:
    file = parse_notebook(data, name)
    content = Content.of(file.snapshot, [(cell.cell_type, cell.source) for cell in file.cells])
    signature = signature_of(file.snapshot)
    approved = is_vouched_for(content, signature, key)
    return TrustedFile(file, Standing(status_of(content, signature, approved), content))


def _signed(file: NotebookFile, signature: str) -> bytes:
    runt = {
        **file.snapshot["runt"],
        "trust_signature": signature,
        "trust_timestamp": datetime.now(timezone.utc).isoformat(),
    }
    cells = [
        SavedCell(
            id=cell.id,
            cell_type=cell.cell_type,
            source=cell.source,
            execution_count=cell.execution_count,
            outputs=cell.outputs,
            metadata=cell.metadata,
        )
        for cell in file.cells
    ]
    return render_notebook(cells, {**file.snapshot, "runt": runt}, file.raw)
