"""Where the cells of a document are: their order, their objects, and which cell owns an object.

Kept up to date from single changes, so that neither an edit nor a received change costs a look at
the whole notebook. A view of a document, never its owner: it reads and doesn't write.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import attrs
from automerge.core import ROOT, Document, ObjType, ScalarType

from runtimed.document.changes import ROOT_KEY, ChangeTouches, ObjectKey, object_key
from runtimed.document.guarded import elements, get, members
from runtimed.document.positions import FIRST

__all__ = ["CellIndex", "Touched"]


@attrs.frozen
class Touched:
    """What changed: the cells concerned, whether their order did, whether the metadata did.

    A cell that came or went is among the cells, and then the order changed. False if nothing did.
    """

    cells: frozenset[str] = frozenset()
    order: bool = False
    metadata: bool = False

    def __bool__(self) -> bool:
        return bool(self.cells) or self.order or self.metadata


@attrs.define
class _Entry:
    object_id: bytes
    position: str


class CellIndex:
    """The cells of one document, in order."""

    def __init__(self, document: Document) -> None:
        self.reset(document)

    def reset(self, document: Document) -> None:
        """Forget everything; the next question reads this document."""
        self._doc = document
        self._cells_object: bytes | None = None
        self._metadata_object: bytes | None = None
        self._cells_key: ObjectKey | None = None
        self._metadata_key: ObjectKey | None = None
        self._entries: dict[str, _Entry] = {}
        self._order: list[tuple[str, str]] = []
        self._ids: list[str] = []  # the two halves of `_order`
        self._positions: list[str] = []
        # Objects inside a cell, by cell; None stands for the notebook's metadata. Filled with what
        # passes by; with everything once a peer touches an object that isn't there.
        self._owners: dict[ObjectKey, str | None] = {}
        self._owners_complete = False
        self._loaded = False

    # Questions

    @property
    def cells_object(self) -> bytes | None:
        """The Map of all cells; None before the first sync."""
        self.ensure_loaded()
        return self._cells_object

    @property
    def metadata_object(self) -> bytes | None:
        """The Map of the notebook's metadata; None before the first sync."""
        self.ensure_loaded()
        return self._metadata_object

    @property
    def ids(self) -> list[str]:
        """The ids of all cells in order. Not to be changed by the caller."""
        self.ensure_loaded()
        return self._ids

    def __contains__(self, cell_id: object) -> bool:
        self.ensure_loaded()
        return cell_id in self._entries

    def object_id(self, cell_id: str) -> bytes | None:
        """The Map of a cell; None if there is no such cell."""
        self.ensure_loaded()
        entry = self._entries.get(cell_id)
        return None if entry is None else entry.object_id

    def position(self, cell_id: str) -> str:
        """The position of a cell that exists."""
        self.ensure_loaded()
        return self._entries[cell_id].position

    @property
    def positions(self) -> list[str]:
        """The positions of all cells in order. Not to be changed by the caller."""
        self.ensure_loaded()
        return self._positions

    def index_of(self, cell_id: str) -> int:
        """The place of a cell that exists, counted from 0."""
        self.ensure_loaded()
        return bisect_left(self._order, (self._entries[cell_id].position, cell_id))

    # Own edits

    def added(self, cell_id: str, object_id: bytes, position: str, parts: Iterable[bytes]) -> None:
        """A cell was created here, with these objects inside."""
        self._own(object_id, cell_id)
        for part in parts:
            self._own(part, cell_id)
        self._set(cell_id, _Entry(object_id, position))

    def removed(self, cell_id: str) -> None:
        """A cell was deleted here."""
        self._set(cell_id, None)

    def moved(self, cell_id: str, position: str) -> None:
        """A cell got another position here."""
        self._set(cell_id, _Entry(self._entries[cell_id].object_id, position))

    def _own(self, object_id: bytes, cell_id: str | None) -> None:
        self._owners[object_key(object_id)] = cell_id

    def made_in(self, cell_id: str | None, object_id: bytes) -> None:
        """An object was created inside a cell here (None: inside the notebook's metadata)."""
        self._own(object_id, cell_id)

    # Edits of others

    def rebuilt(self) -> Touched:
        """Read everything again, and report everything as touched."""
        old = set(self._entries)
        order = self._ids
        self.reset(self._doc)
        self.ensure_loaded()
        return Touched(frozenset(old | self._entries.keys()), order != self._ids, metadata=True)

    def apply(self, changes: Iterable[ChangeTouches]) -> Touched:
        """Follow changes that were made elsewhere; they are in the document already."""
        self.ensure_loaded()
        cells: set[str] = set()
        order = metadata = False
        changes = list(changes)
        new: set[ObjectKey] = set()
        for change in changes:
            for made in change.made:
                self._follow_made(made.child, made.parent, made.key)
                new.add(made.child)
        for change in changes:
            for place, key in change.places:
                if place in new:
                    continue  # read as a whole where it was put
                if place == ROOT_KEY:
                    if key in ("cells", "metadata"):
                        return self.rebuilt()
                elif place == self._cells_key:
                    if key is not None:
                        cells.add(key)
                        order |= self._refresh(key)
                elif place == self._metadata_key:
                    metadata = True
                    self._follow_member(None, self._metadata_object, key)
                else:
                    if place not in self._owners:
                        self._complete_owners()
                        if place not in self._owners:
                            continue  # nobody sees it: in a deleted cell, or behind a conflict
                    cell_id = self._owners[place]
                    if cell_id is None:
                        metadata = True
                        continue
                    cells.add(cell_id)
                    entry = self._entries.get(cell_id)
                    if entry is not None and object_key(entry.object_id) == place:
                        if key in ("id", "position"):
                            order |= self._refresh(cell_id)
                        self._follow_member(cell_id, entry.object_id, key)
                    elif key == "id":
                        order |= self._refresh(cell_id)  # it was no cell for lack of an id
        return Touched(frozenset(cells), order, metadata)

    def _follow_made(self, child: ObjectKey, parent: ObjectKey, key: str | None) -> None:
        if parent == self._cells_key:
            if key is not None:
                self._owners[child] = key
        elif parent == self._metadata_key:
            self._owners[child] = None
        elif parent in self._owners:
            self._owners[child] = self._owners[parent]

    def _follow_member(self, cell_id: str | None, obj: bytes | None, key: str | None) -> None:
        """Know the object under a key: one that was hidden by a conflict may have come to light."""
        if obj is None or key is None or not self._owners_complete:
            return
        found = get(self._doc, obj, key)
        if (
            found is not None
            and isinstance(found[0], ObjType)
            and object_key(found[1]) not in self._owners
        ):
            self._walk(found[0], found[1], cell_id)

    def _refresh(self, cell_id: str) -> bool:
        """Look at one cell again. Returns whether the order changed."""
        assert self._cells_object is not None
        found = get(self._doc, self._cells_object, cell_id)
        entry = None if found is None else self._read_entry(found[0], found[1])
        old = self._entries.get(cell_id)
        if entry is not None and (old is None or entry.object_id != old.object_id):
            key = object_key(entry.object_id)
            if self._owners_complete and key not in self._owners:
                self._walk(ObjType.Map, entry.object_id, cell_id)
            self._owners[key] = cell_id
        if entry == old:
            return False
        self._set(cell_id, entry)
        return (entry and entry.position) != (old and old.position)

    def _set(self, cell_id: str, entry: _Entry | None) -> None:
        old = self._entries.get(cell_id)
        if old is not None and (entry is None or entry.position != old.position):
            at = bisect_left(self._order, (old.position, cell_id))
            del self._order[at], self._ids[at], self._positions[at]
        if entry is None:
            self._entries.pop(cell_id, None)
            return
        if old is None or entry.position != old.position:
            at = bisect_left(self._order, (entry.position, cell_id))
            self._order.insert(at, (entry.position, cell_id))
            self._ids.insert(at, cell_id)
            self._positions.insert(at, entry.position)
        self._entries[cell_id] = entry

    # Reading the document

    def ensure_loaded(self) -> None:
        """Read the document now, unless that has been done."""
        if self._loaded:
            return
        self._loaded = True
        self._cells_object = self._root_map("cells")
        self._metadata_object = self._root_map("metadata")
        if self._metadata_object is not None:
            self._metadata_key = object_key(self._metadata_object)
        if self._cells_object is None:
            return
        self._cells_key = object_key(self._cells_object)
        for cell_id, (value, object_id) in members(self._doc, self._cells_object):
            if value == ObjType.Map:
                self._owners[object_key(object_id)] = cell_id
            entry = self._read_entry(value, object_id)
            if entry is not None:
                self._entries[cell_id] = entry
        self._order = sorted((entry.position, id_) for id_, entry in self._entries.items())
        self._ids = [id_ for _, id_ in self._order]
        self._positions = [position for position, _ in self._order]

    def _root_map(self, key: str) -> bytes | None:
        found = get(self._doc, ROOT, key)
        return found[1] if found is not None and found[0] == ObjType.Map else None

    def _read_entry(self, value: object, object_id: bytes) -> _Entry | None:
        """The entry of a cell; None for what is no cell: no Map, or a Map without an id."""
        if value != ObjType.Map:
            return None
        found = get(self._doc, object_id, "id")
        if found is None or not isinstance(found[0], tuple) or found[0][0] != ScalarType.Str:
            return None
        found = get(self._doc, object_id, "position")
        if found is None or not isinstance(found[0], tuple) or found[0][0] != ScalarType.Str:
            return _Entry(object_id, FIRST)
        return _Entry(object_id, str(found[0][1]))

    def _complete_owners(self) -> None:
        if self._owners_complete:
            return
        self._owners_complete = True
        for cell_id, entry in self._entries.items():
            self._walk(ObjType.Map, entry.object_id, cell_id)
        if self._metadata_object is not None:
            self._walk(ObjType.Map, self._metadata_object, None)

    def _walk(self, kind: ObjType, obj: bytes, cell_id: str | None) -> None:
        """Learn the owner of an object and of all objects inside it."""
        pending = [(kind, obj)]
        while pending:
            kind, obj = pending.pop()
            self._own(obj, cell_id)
            if kind == ObjType.Text:
                continue
            for value, child in elements(self._doc, obj):
                if isinstance(value, ObjType):
                    pending.append((value, child))
