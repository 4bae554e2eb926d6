"""Where each display id is shown.

Answers in one look-up which outputs an update of a display concerns. Knows positions only, neither
outputs nor documents.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DisplayIndex"]


class DisplayIndex:
    """Display id -> positions (cell id, index) of the outputs that carry it."""

    def __init__(self) -> None:
        self._places: dict[str, dict[tuple[str, int], None]] = {}
        self._cells: dict[str, dict[int, str]] = {}

    def set(self, cell_id: str, index: int, display_id: str | None) -> None:
        """Output `index` of the cell carries this display id now, or none."""
        ids = self._cells.get(cell_id)
        old = ids.get(index) if ids else None
        if old == display_id:
            return
        if ids is not None and old is not None:
            del ids[index]
            self._drop(old, cell_id, index)
        if display_id is not None:
            self._cells.setdefault(cell_id, {})[index] = display_id
            self._places.setdefault(display_id, {})[cell_id, index] = None

    def set_cell(self, cell_id: str, display_ids: Iterable[str | None]) -> None:
        """Replace everything known of a cell: the display ids of its outputs in order."""
        self.forget(cell_id)
        for index, display_id in enumerate(display_ids):
            self.set(cell_id, index, display_id)

    def truncate(self, cell_id: str, length: int) -> None:
        """The cell has only this many outputs left."""
        for index in [index for index in self._cells.get(cell_id, ()) if index >= length]:
            self.set(cell_id, index, None)

    def forget(self, cell_id: str) -> None:
        """The cell has no outputs any more."""
        for index, display_id in self._cells.pop(cell_id, {}).items():
            self._drop(display_id, cell_id, index)

    def find(self, display_id: str) -> list[tuple[str, int]]:
        """All (cell id, index) with this display id, in the order they got it."""
        return list(self._places.get(display_id, ()))

    def __len__(self) -> int:
        return len(self._places)

    def _drop(self, display_id: str, cell_id: str, index: int) -> None:
        places = self._places[display_id]
        del places[cell_id, index]
        if not places:
            del self._places[display_id]
