"""What peers are told when a notebook's file was merged."""

from __future__ import annotations

from runtimed.document.notebook import NotebookDocument
from runtimed.protocol import broadcasts
from runtimed.protocol.structures import CellSnapshot

__all__ = ["file_changed"]

#: Characters of all cells beyond which peers are not told: the sync message, which has what changed
#: and nothing else, is on its way to them anyway.
_LARGEST = 256 * 1024


def file_changed(document: NotebookDocument) -> broadcasts.FileChanged | None:
    """The broadcast that stock peers expect, with all cells; None for a notebook too large for it.

    A part of the cells would be wrong: a peer may take it for the notebook.
    """
    cells = []
    size = 0
    for cell_id in document.cell_ids():
        cell = document.cell(cell_id)
        size += len(cell.source) + sum(map(len, cell.outputs)) + len(str(cell.metadata)) + 200
        if size > _LARGEST:
            return None
        cells.append(
            CellSnapshot(
                id=cell.id,
                cell_type=cell.cell_type,
                position=cell.position,
                source=cell.source,
                execution_count=(
                    "null" if cell.execution_count is None else str(cell.execution_count)
                ),
                outputs=cell.outputs,
                metadata=cell.metadata,
                resolved_assets=cell.resolved_assets,
            )
        )
    return broadcasts.FileChanged(cells=tuple(cells))
