"""A look into a notebook from outside: the live room, or what lies on disk of it."""

from __future__ import annotations

from typing import Any

from runtimed.document.notebook import CellSnapshot
from runtimed.protocol import pool
from runtimed.protocol.structures import CellSnapshot as WireCell
from runtimed.protocol.structures import KernelInfo
from runtimed.rooms.rooms import Rooms

__all__ = ["inspect_notebook"]


async def inspect_notebook(rooms: Rooms, notebook_id: str) -> Any:
    """The cells of a notebook, open or not, and the kernel of an open one."""
    room = rooms.find(notebook_id)
    if room is None:
        document, path = await rooms.read_saved(notebook_id)
        if document is None:
            return pool.Error(
                message=f'Notebook not found: no active room and no persisted file at "{path}"'
            )
        return pool.NotebookState(
            notebook_id=notebook_id,
            cells=[_wire(cell) for cell in document.cells()],
            source="persisted_file",
            kernel_info=None,
        )
    launched = room.runner.kernel
    info = None
    if launched is not None:
        info = KernelInfo(
            kernel_type=launched.kernel_type,
            env_source=launched.env_source,
            status=room.runner.status,
        )
    return pool.NotebookState(
        notebook_id=room.notebook_id,
        cells=[_wire(cell) for cell in room.document.cells()],
        source="live_room",
        kernel_info=info,
    )


def _wire(cell: CellSnapshot) -> WireCell:
    return WireCell(
        id=cell.id,
        cell_type=cell.cell_type,
        position=cell.position,
        source=cell.source,
        execution_count="null" if cell.execution_count is None else str(cell.execution_count),
        outputs=list(cell.outputs),
        metadata=cell.metadata,
        resolved_assets=cell.resolved_assets,
    )
