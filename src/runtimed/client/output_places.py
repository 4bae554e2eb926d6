"""Where an output that is announced on its own belongs in the list of outputs a reader sees.

A long stream is stored in several neighbouring entries, which readers see as one output. Pure: fed
with entries in the order they are announced.
"""

from __future__ import annotations

import attrs

from runtimed.client.results import Output

__all__ = ["OutputPlaces"]


class OutputPlaces:
    """Maps the entries of one cell's stored outputs to the outputs a reader counts."""

    def __init__(self) -> None:
        self._streams: list[str | None] = []  # of each entry: its stream, None for other outputs
        self._indexes: list[int] = []
        self._pieces: dict[int, str] = {}  # text of the entries of the last stream

    def place(self, entry: int | None, stream: str | None) -> int:
        """The index a reader sees for an entry. None means behind all others."""
        at = len(self._streams) if entry is None else entry
        while len(self._streams) < at:  # announced before anybody listened
            self._append(None)
        if at == len(self._streams):
            self._append(stream)
        elif self._streams[at] != stream:
            self._streams[at] = stream
            self._indexes[at] = self._index_after(at)
        return self._indexes[at]

    def place_output(self, entry: int | None, output: Output) -> tuple[int, Output]:
        """The index a reader sees, and the output with all the text its stream has so far."""
        stream = output.name if output.output_type == "stream" else None
        at = len(self._streams) if entry is None else entry
        index = self.place(entry, stream)
        if stream is None:
            return index, output
        first = at
        while first > 0 and self._streams[first - 1] == stream:
            first -= 1
        for piece in [piece for piece in self._pieces if piece < first or piece > at]:
            del self._pieces[piece]
        self._pieces[at] = output.text or ""
        if first == at:
            return index, output
        text = "".join(self._pieces.get(piece, "") for piece in range(first, at + 1))
        return index, attrs.evolve(output, text=text)

    def _append(self, stream: str | None) -> None:
        self._streams.append(stream)
        self._indexes.append(0)
        self._indexes[-1] = self._index_after(len(self._streams) - 1)

    def _index_after(self, at: int) -> int:
        if at == 0:
            return 0
        joins = self._streams[at] is not None and self._streams[at] == self._streams[at - 1]
        return self._indexes[at - 1] + (0 if joins else 1)
