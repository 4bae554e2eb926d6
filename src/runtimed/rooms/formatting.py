"""Formatting a room's code cells with the formatters that are installed: ruff, deno.

Best effort: what can't be formatted stays as it is, and never keeps anybody from saving.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import trio

from runtimed.document.formatting import (
    formatted_sources,
    has_magics,
    rejected_cell,
    without_last_newline,
    wrapped,
)
from runtimed.document.notebook import NotebookDocument
from runtimed.document.runtime import notebook_runtime
from runtimed.environments.deno import DenoTool

__all__ = ["format_cells"]

log = logging.getLogger(__name__)

#: Seconds for all cells together.
_TIME = 10.0

#: deno processes at once; each formats one cell.
_PROCESSES = 2


class FormattedRoom(Protocol):
    """What is needed of a room."""

    document: NotebookDocument

    def document_changed(self) -> None: ...


async def format_cells(room: FormattedRoom, folder: Path | None) -> int:
    """Format all code cells; how many changed.

    `folder` is where the formatters look for the project's style. A cell that was edited in the
    meantime keeps its edits and is not formatted.
    """
    document = room.document
    sources = {
        cell_id: source
        for cell_id in document.cell_ids()
        if document.cell_type(cell_id) == "code" and (source := document.source(cell_id)).strip()
    }
    runtime = _runtime(document)
    if runtime is None or not sources:
        return 0
    name, run = _FORMATTERS[runtime]
    formatted: dict[str, str] = {}
    with trio.move_on_after(_TIME) as patience:
        program = await _find(name)
        if program is None:
            return 0
        try:
            await run(program, folder, sources, formatted)
        except (OSError, ValueError) as error:
            log.warning("formatter failed program=%s error=%s", program, error)
    if patience.cancelled_caught:
        log.warning("formatter too slow name=%s cells=%d", name, len(sources))
    document = room.document
    with document.batch():
        changed = [
            cell_id
            for cell_id, text in formatted.items()
            if text != sources[cell_id]
            and cell_id in document
            and document.source(cell_id) == sources[cell_id]
        ]
        for cell_id in changed:
            document.set_source(cell_id, formatted[cell_id])
    if changed:
        room.document_changed()
    return len(changed)


def _runtime(document: NotebookDocument) -> str | None:
    """The language of the cells; None for one that nobody here can format."""
    snapshot = document.metadata_snapshot() or {}
    foreign = "kernelspec" in snapshot or "language_info" in snapshot
    return notebook_runtime(snapshot) or (None if foreign else "python")


async def _ruff(
    program: str, folder: Path | None, sources: dict[str, str], formatted: dict[str, str]
) -> None:
    """One process for all cells, and another one without the cell for each that ruff can't read."""
    # One kind of line end counts for the whole notebook, and magics are not ours to move.
    left = [
        cell_id
        for cell_id, source in sources.items()
        if "\r" not in source and not has_magics(source)
    ]
    while left:
        command = [program, "format", "--no-cache", "--stdin-filename", "cell.ipynb", "-"]
        answer = await _run(command, folder, wrapped([sources[cell_id] for cell_id in left]))
        if answer.returncode == 0:
            texts = formatted_sources(answer.stdout, len(left))
            formatted.update(zip(left, texts, strict=True))
            return
        complaint = answer.stderr.decode(errors="replace")
        rejected = rejected_cell(complaint, len(left))
        if rejected is None:
            raise ValueError(complaint.strip())
        del left[rejected]


async def _deno(
    program: str, folder: Path | None, sources: dict[str, str], formatted: dict[str, str]
) -> None:
    limit = trio.CapacityLimiter(_PROCESSES)

    async def one(cell_id: str) -> None:
        command = [program, "fmt", "--ext=ts", "-"]
        try:
            async with limit:
                answer = await _run(command, folder, sources[cell_id].encode())
            if answer.returncode == 0:
                formatted[cell_id] = without_last_newline(answer.stdout.decode())
        except (OSError, ValueError) as error:
            log.warning("formatter failed program=%s error=%s", program, error)

    async with trio.open_nursery() as processes:
        for cell_id in sources:
            processes.start_soon(one, cell_id)


_FORMATTERS = {"python": ("ruff", _ruff), "deno": ("deno", _deno)}


async def _run(
    command: list[str], folder: Path | None, text: bytes
) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(
        command, stdin=text, capture_stdout=True, capture_stderr=True, check=False, cwd=folder
    )


async def _find(name: str) -> str | None:
    """A program on the path, or one that was installed with us; the deno that kernels run with.

    Nothing is downloaded for it.
    """
    if name == "deno":
        found = await DenoTool().find()
        return None if found is None else str(found)
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
