"""Editing and reading cells.

Edits change the local document at once; the link's writer tells the daemon.
"""

from __future__ import annotations

from uuid import uuid4

from runtimed.client.arguments import as_cell_type, as_count, as_optional_text, as_text
from runtimed.client.membership import Membership
from runtimed.client.portal import on_trio
from runtimed.client.results import Cell, Output
from runtimed.document.notebook import CellSnapshot
from runtimed.errors import CellNotFound
from runtimed.protocol import requests

__all__ = ["Editing"]


class Editing(Membership):
    """The part of a session that is about cells."""

    @on_trio
    async def create_cell(
        self, source: str = "", cell_type: str = "code", index: int | None = None
    ) -> str:
        """Add a cell and return its id.

        `index` counts from 0; None, or one past the end, adds it at the end. Other peers see the
        cell and its source in one step.
        """
        return await self._create_cell(source, cell_type, index)

    async def _create_cell(
        self, source: str, cell_type: str = "code", index: int | None = None
    ) -> str:
        source, cell_type = as_text("source", source), as_cell_type(cell_type)
        index = None if index is None else as_count("index", index)
        link = await self._editing()
        cell_id = f"cell-{uuid4()}"
        link.replica.document.insert_cell(cell_id, cell_type, source, index)
        link.announcer.place(cell_id)
        link.edited()
        return cell_id

    @on_trio
    async def set_source(self, cell_id: str, source: str) -> None:
        """Replace a cell's source, by edits small enough to merge with those of others."""
        link = await self._editing()
        link.replica.document.set_source(as_text("cell_id", cell_id), as_text("source", source))
        link.announcer.replaced(cell_id, source)
        link.edited()

    @on_trio
    async def append_source(self, cell_id: str, text: str) -> None:
        """Add text at the end of a cell's source."""
        link = await self._editing()
        link.replica.document.append_source(as_text("cell_id", cell_id), as_text("text", text))
        link.announcer.appended(cell_id, text)
        link.edited()

    @on_trio
    async def set_cell_type(self, cell_id: str, cell_type: str) -> None:
        """Make a cell `code`, `markdown` or `raw`."""
        link = await self._editing()
        link.replica.document.set_cell_type(as_text("cell_id", cell_id), as_cell_type(cell_type))
        link.edited()

    @on_trio
    async def delete_cell(self, cell_id: str) -> None:
        """Remove a cell."""
        link = await self._editing()
        link.replica.document.delete_cell(as_text("cell_id", cell_id))
        link.edited()

    @on_trio
    async def move_cell(self, cell_id: str, after_cell_id: str | None = None) -> str:
        """Put a cell behind another one, or to the top. Returns its new position."""
        link = await self._editing()
        document = link.replica.document
        after = as_optional_text("after_cell_id", after_cell_id)
        if as_text("cell_id", cell_id) not in document:
            raise CellNotFound(cell_id)
        if after is not None and after not in document:
            raise CellNotFound(after)
        position = document.move_cell(cell_id, after)
        link.announcer.place(cell_id)
        link.edited()
        return position

    @on_trio
    async def clear_outputs(self, cell_id: str) -> None:
        """Remove a cell's outputs and its execution count."""
        if as_text("cell_id", cell_id) not in self._document:
            raise CellNotFound(cell_id)
        self._linked().announcer.place(cell_id)
        await self._request(requests.ClearOutputs(cell_id))
        await self._in_step()  # so that the caller reads what was asked for

    @on_trio
    async def get_cell(self, cell_id: str) -> Cell:
        """A cell as it is now in the local copy, with its outputs."""
        link = await self._reading()
        snapshot = link.replica.document.cell(as_text("cell_id", cell_id))
        return cell_from(snapshot, await link.outputs.outputs(snapshot.outputs))

    @on_trio
    async def get_cells(self) -> list[Cell]:
        """All cells in order, with their outputs."""
        link = await self._reading()
        snapshots = link.replica.document.cells()
        outputs = await link.outputs.outputs_of([cell.outputs for cell in snapshots])
        return [cell_from(*pair) for pair in zip(snapshots, outputs, strict=True)]


def cell_from(snapshot: CellSnapshot, outputs: list[Output]) -> Cell:
    """A cell of the document as the result type."""
    return Cell(
        id=snapshot.id,
        cell_type=snapshot.cell_type,
        source=snapshot.source,
        position=snapshot.position,
        execution_count=snapshot.execution_count,
        outputs=outputs,
        metadata=snapshot.metadata,
    )
