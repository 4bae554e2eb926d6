"""A notebook as a document that several peers edit: cells in order, their parts, metadata.

Every edit is a method, and each makes one change unless it happens in a `batch`. Knows nothing of
files, kernels or connections: sync messages are bytes that come in and go out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from automerge.core import ROOT, Document, ObjType, ScalarType, Transaction

from runtimed.document import positions
from runtimed.document.attachments import Attachments, read_attachments, write_attachments
from runtimed.document.cell_index import CellIndex, Touched
from runtimed.document.cell_values import (
    CellSnapshot,
    NewCell,
    append_strings,
    append_text,
    change_strings,
    change_text,
    count_text,
    insert_text,
    part,
    read_assets,
    read_cell,
    read_count,
    read_metadata,
    read_source,
    read_str,
    read_str_members,
    read_strings,
)
from runtimed.document.changes import object_key, touched
from runtimed.document.guarded import get, is_panic
from runtimed.document.json_mapping import (
    clean_text,
    map_at,
    read_at,
    storable,
    write_at,
    write_map,
)
from runtimed.document.metadata import read_snapshot, write_snapshot
from runtimed.document.schema import create_root, upgrade
from runtimed.document.shared_document import SharedDocument, SyncPeer
from runtimed.errors import CellNotFound, DocumentTooNew, DocumentUnreadable, RuntimedError

if TYPE_CHECKING:
    from automerge.core import Change  # known to the type stubs only

__all__ = ["CellSnapshot", "NewCell", "NotebookDocument", "SyncPeer", "Touched"]

# Output lists kept in memory, so that setting a list with one more entry reads nothing.
_REMEMBERED_OUTPUTS = 16

# What a cell takes beside its source and its outputs.
_OPERATIONS_OF_A_CELL = 12


class NotebookDocument(SharedDocument):
    """A notebook document.

    Methods that name a cell raise CellNotFound if there is none; edits before the first sync of an
    `empty` document raise RuntimedError.
    """

    def __init__(self, document: Document, stored: bytes = b"") -> None:
        super().__init__(document, stored)
        self._index = CellIndex(document)
        self._outputs: dict[str, tuple[bytes, list[str]]] = {}
        self._touched = Touched()

    @classmethod
    def create(cls, notebook_id: str, actor: bytes) -> NotebookDocument:
        """Make the document of a new notebook, without cells. Only the daemon does this."""
        document = Document(actor)
        with document.transaction() as transaction:
            create_root(transaction, clean_text(notebook_id))
        return cls(document)

    @classmethod
    def empty(cls, actor: bytes) -> NotebookDocument:
        """Make a replica that has nothing yet and gets everything by syncing."""
        return cls(Document(actor))

    @classmethod
    def load(cls, data: bytes, actor: bytes) -> NotebookDocument:
        """Load a stored document, bringing an older schema up to date.

        Raises: DocumentUnreadable for bytes that are no document, or an older one that can't be
        brought up to date; DocumentTooNew for a later schema.
        """
        document = cls._load(data, actor)
        notebook = cls(document, data)
        try:
            upgrade(document)
        except DocumentTooNew:
            raise
        except BaseException as error:
            if not (isinstance(error, Exception) or is_panic(error)):
                raise
            raise DocumentUnreadable(f"The document is damaged: {error}") from error
        notebook._set_heads()
        return notebook

    def without_own_edits(self, had: Iterable[str]) -> NotebookDocument | None:
        """The document without our own edits beyond these heads; None if there are none.

        Cost: that of all the history, if there are some.
        """
        heads = self._version_without_own(had)
        if heads is None:
            return None
        return NotebookDocument(self._doc.fork(heads) if heads else Document(self.actor))

    def receive_sync(self, peer: SyncPeer, data: bytes) -> Touched:
        """Take a sync message of a peer in.

        Returns: what it changed.
        Raises: RemoteProtocolError if it can't be read or applied; the document is still good.
        """
        self._touched = Touched()
        self._index.ensure_loaded()  # the state before, to tell what is new
        self._receive(peer, data)
        return self._touched

    def _received(self, changes: list[Change]) -> None:
        # Reading a change takes about as long as reading three cells again.
        if len(changes) > 32 + len(self._index.ids) // 3:
            self._touched = self._index.rebuilt()
        else:
            try:
                self._touched = self._index.apply([touched(change.raw_bytes) for change in changes])
            except ValueError:
                self._touched = self._index.rebuilt()
        for cell_id in self._touched.cells & self._outputs.keys():
            del self._outputs[cell_id]

    def _rolled_back(self) -> None:
        self._index.reset(self._doc)
        self._outputs.clear()

    # Reading

    @property
    def notebook_id(self) -> str | None:
        """The id written into the document when it was created; None before the first sync."""
        return read_str(self._doc, ROOT, "notebook_id")

    def is_same_document(self, other: NotebookDocument) -> bool:
        """Whether both go back to one act of making a document, so that they can be merged."""
        ours, theirs = self._index.cells_object, other._index.cells_object
        if ours is None or theirs is None:
            return False
        return object_key(ours) == object_key(theirs)

    def cell_ids(self) -> list[str]:
        """The ids of all cells, in order."""
        return list(self._index.ids)

    def __contains__(self, cell_id: object) -> bool:
        return cell_id in self._index

    def __len__(self) -> int:
        return len(self._index.ids)

    def cell(self, cell_id: str) -> CellSnapshot:
        """A cell with all its parts."""
        return read_cell(self._doc, self._cell(cell_id), cell_id)

    def cells(self) -> list[CellSnapshot]:
        """All cells, in order."""
        return [self.cell(cell_id) for cell_id in self._index.ids]

    def cell_type(self, cell_id: str) -> str:
        """`code`, `markdown` or `raw`; empty in a damaged cell."""
        return read_str(self._doc, self._cell(cell_id), "cell_type") or ""

    def position(self, cell_id: str) -> str:
        """Where a cell stands, as the document says it."""
        self._cell(cell_id)
        return self._index.position(cell_id)

    @property
    def extent(self) -> int:
        """About how many operations it takes to write the content: characters, mostly."""
        total = 0
        for cell_id in self._index.ids:
            cell = self._cell(cell_id)
            total += _OPERATIONS_OF_A_CELL
            for key in ("source", "outputs"):
                obj = part(self._doc, cell, key, _KINDS[key])
                total += 0 if obj is None else self._doc.length(obj)
        return total

    def source(self, cell_id: str) -> str:
        """The text of a cell."""
        return read_source(self._doc, self._cell(cell_id))

    def execution_count(self, cell_id: str) -> int | None:
        """The number of the last execution of a cell."""
        return read_count(self._doc, self._cell(cell_id))

    def outputs(self, cell_id: str) -> list[str]:
        """The outputs of a cell: manifest hashes, or raw output JSON."""
        return list(self._output_list(cell_id)[1])

    def cell_metadata(self, cell_id: str) -> dict[str, Any]:
        """The metadata of a cell."""
        return read_metadata(self._doc, self._cell(cell_id))

    def resolved_assets(self, cell_id: str) -> dict[str, str]:
        """The assets that a cell refers to, and the blobs they stand for."""
        return read_assets(self._doc, self._cell(cell_id))

    def attachments(self, cell_id: str) -> dict[str, dict[str, dict[str, Any]]]:
        """The attachments of a cell: content references by name and MIME type."""
        return read_attachments(self._doc, self._cell(cell_id))

    # Cells

    def insert_cell(
        self, cell_id: str, cell_type: str, source: str = "", index: int | None = None
    ) -> str:
        """Insert a cell at an index, which is clamped; at the end by default.

        Returns: its position.
        Raises: RuntimedError if there is a cell with this id.
        """
        count = len(self)
        at = count if index is None else max(0, min(index, count))
        return self._insert(NewCell(cell_id, cell_type, source), at)

    def insert_cell_after(
        self, cell_id: str, cell_type: str, source: str, after: str | None
    ) -> str:
        """Insert a cell behind another one; None: at the start, unknown: at the end.

        Returns: its position.
        Raises: RuntimedError if there is a cell with this id.
        """
        return self._insert(NewCell(cell_id, cell_type, source), self._index_after(after))

    def insert_new_cell(self, cell: NewCell, after: str | None) -> str:
        """Insert a whole cell behind another one; None: at the start, unknown: at the end.

        Returns: its position.
        Raises: RuntimedError if there is a cell with this id.
        """
        return self._insert(cell, self._index_after(after))

    def load_cells(self, cells: Iterable[NewCell]) -> None:
        """Append many cells, as one change.

        Raises: RuntimedError if there is a cell with one of the ids; then none is added.
        """
        with self.batch():
            for cell in cells:
                self._insert(cell, len(self))

    def delete_cell(self, cell_id: str) -> None:
        """Delete a cell, with what others are writing into it."""
        self._cell(cell_id)
        with self._edit() as t:
            t.delete(self._cells_map(), cell_id)
            self._index.removed(cell_id)
        self._outputs.pop(cell_id, None)

    def move_cell(self, cell_id: str, after: str | None) -> str:
        """Move a cell behind another one; None: to the start, unknown: to the end.

        Nothing but its position changes, and nothing at all if it stands there already.
        Returns: its position.
        """
        self._cell(cell_id)
        at = self._index_after(after)
        own = self._index.index_of(cell_id)
        if own in (at, at - 1):
            return self._index.position(cell_id)
        with self._edit():
            position, moved = positions.place(self._index.positions, at)
            moved.pop(own, None)
            self._make_room(moved)
            self._set_position(cell_id, position)
        return position

    def set_cell_type(self, cell_id: str, cell_type: str) -> None:
        """Make a cell one of another type."""
        self._put_str(cell_id, "cell_type", clean_text(cell_type))

    def set_execution_count(self, cell_id: str, count: int | None) -> None:
        """Set the number of the last execution; None if there was none."""
        self._put_str(cell_id, "execution_count", count_text(count))

    # Source

    def set_source(self, cell_id: str, source: str) -> None:
        """Replace the text of a cell by the fewest edits, which merge with those of others."""
        cell = self._cell(cell_id)
        with self._edit() as t:
            change_text(self._doc, t, self._object(t, cell_id, cell, "source"), source)

    def append_source(self, cell_id: str, text: str) -> None:
        """Append to the text of a cell."""
        cell = self._cell(cell_id)
        with self._edit() as t:
            append_text(self._doc, t, self._object(t, cell_id, cell, "source"), text)

    # Outputs

    def set_outputs(self, cell_id: str, outputs: Sequence[str]) -> None:
        """Replace the outputs of a cell, touching only entries that differ."""
        outputs = list(outputs)
        with self._edit() as t:
            obj, old = self._output_list(cell_id, t)
            count = len(old)
            if outputs[:count] == old:  # the usual case: entries were added
                old.extend(append_strings(t, obj, count, outputs[count:]))
            else:
                new = [clean_text(output) for output in outputs]
                change_strings(t, obj, old, new)
                self._outputs[cell_id] = (obj, new)

    def append_output(self, cell_id: str, output: str) -> None:
        """Add an output to a cell."""
        with self._edit() as t:
            obj, entries = self._output_list(cell_id, t)
            entries.extend(append_strings(t, obj, len(entries), [output]))

    def replace_output(self, cell_id: str, index: int, output: str) -> None:
        """Replace one output of a cell. Raises: IndexError if there is none at this index."""
        output = clean_text(output)
        with self._edit() as t:
            obj, entries = self._output_list(cell_id, t)
            if not 0 <= index < len(entries):
                raise IndexError(f"cell {cell_id} has no output {index}")
            if entries[index] != output:
                t.put(obj, index, ScalarType.Str, output)
                entries[index] = output

    def clear_outputs(self, cell_id: str) -> None:
        """Remove all outputs of a cell."""
        self.set_outputs(cell_id, [])

    # Metadata

    def set_cell_metadata(self, cell_id: str, metadata: Mapping[str, Any]) -> None:
        """Replace the metadata of a cell, touching only leaves that differ.

        Raises: RuntimedError for what is no JSON.
        """
        cell = self._cell(cell_id)
        with self._edit() as t:
            obj = part(self._doc, cell, "metadata", ObjType.Map)
            if obj is None:
                # Also the way from the legacy form, a Str: what it said is in `metadata`, if kept.
                obj = self._object(t, cell_id, cell, "metadata")
            write_map(self._doc, t, obj, metadata, lambda made: self._index.made_in(cell_id, made))

    def set_cell_metadata_at(self, cell_id: str, path: Sequence[str], value: Any) -> None:
        """Set one value inside a cell's metadata, making the objects on the way to it.

        Special cases: what is no object on the way is replaced by one.
        Raises: RuntimedError for what is no JSON, and for an empty path.
        """
        cell = self._cell(cell_id)
        with self._edit() as t:
            if part(self._doc, cell, "metadata", ObjType.Map) is None:
                self.set_cell_metadata(cell_id, read_metadata(self._doc, cell))  # the legacy form
            obj = self._object(t, cell_id, cell, "metadata")
            write_at(
                self._doc, t, obj, path, value, lambda made: self._index.made_in(cell_id, made)
            )

    def has_metadata_object(self, cell_id: str | None, path: Sequence[str]) -> bool:
        """Whether there is an object at a path of a cell's metadata, or of the notebook's."""
        obj = self._index.metadata_object
        if cell_id is not None:
            obj = part(self._doc, self._cell(cell_id), "metadata", ObjType.Map)
        return obj is not None and map_at(self._doc, obj, path) is not None

    def ensure_metadata(
        self, cell_id: str | None, path: Sequence[str], value: Mapping[str, Any]
    ) -> bool:
        """Put an object at a path of a cell's metadata, or of the notebook's, if there is none.

        Returns: whether it was put there.
        """
        if self.has_metadata_object(cell_id, path):
            return False
        if cell_id is None:
            self.set_metadata_at(path, value)
        else:
            self.set_cell_metadata_at(cell_id, path, value)
        return True

    def set_resolved_assets(self, cell_id: str, assets: Mapping[str, str]) -> None:
        """Replace the asset references of a cell, touching only those that differ."""
        cell = self._cell(cell_id)
        if assets == read_assets(self._doc, cell):
            return
        with self._edit() as t:
            obj = self._object(t, cell_id, cell, "resolved_assets")
            write_map(self._doc, t, obj, assets, lambda made: self._index.made_in(cell_id, made))

    def set_attachments(self, cell_id: str, attachments: Attachments) -> None:
        """Replace the attachments of a cell, touching only those that differ."""
        cell = self._cell(cell_id)
        if attachments == read_attachments(self._doc, cell):
            return
        with self._edit() as t:
            obj = self._object(t, cell_id, cell, "attachments")
            write_attachments(
                self._doc, t, obj, attachments, lambda made: self._index.made_in(cell_id, made)
            )

    def metadata_snapshot(self) -> dict[str, Any] | None:
        """The notebook's metadata snapshot; None while the document has none."""
        metadata = self._index.metadata_object
        return None if metadata is None else read_snapshot(self._doc, metadata)

    def set_metadata_snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """Replace the notebook's metadata snapshot, touching only leaves that differ.

        Raises: RuntimedError if this is no snapshot.
        """
        metadata = self._metadata_map()
        with self._edit() as t:
            write_snapshot(
                self._doc, t, metadata, snapshot, lambda made: self._index.made_in(None, made)
            )

    def metadata_at(self, path: Sequence[str]) -> Any:
        """One value inside the notebook's metadata; None if there is nothing."""
        metadata = self._index.metadata_object
        return None if metadata is None else read_at(self._doc, metadata, path)

    def set_metadata_at(self, path: Sequence[str], value: Any) -> None:
        """Set one value inside the notebook's metadata, making the objects on the way to it.

        Raises: RuntimedError for what is no JSON, and for an empty path.
        """
        metadata = self._metadata_map()
        with self._edit() as t:
            write_at(
                self._doc, t, metadata, path, value, lambda made: self._index.made_in(None, made)
            )

    def raw_metadata(self, key: str) -> str | None:
        """A string directly under the notebook's metadata; None if there is none."""
        metadata = self._index.metadata_object
        return None if metadata is None else read_str(self._doc, metadata, key)

    def raw_metadata_strings(self) -> dict[str, str]:
        """All strings directly under the notebook's metadata."""
        metadata = self._index.metadata_object
        return {} if metadata is None else read_str_members(self._doc, metadata)

    def set_raw_metadata(self, key: str, value: str) -> None:
        """Set a string directly under the notebook's metadata.

        Raises: RuntimedError for an empty key, and where the metadata has an object.
        """
        metadata = self._metadata_map()
        found = get(self._doc, metadata, key) if key else None
        if not key or (found is not None and isinstance(found[0], ObjType)):
            raise RuntimedError(f"Not a string of the notebook's metadata: {key!r}")
        with self._edit() as t:
            t.put(metadata, clean_text(key), ScalarType.Str, clean_text(value))

    # Inside

    def _cell(self, cell_id: str) -> bytes:
        cell = self._index.object_id(cell_id)
        if cell is None:
            raise CellNotFound(cell_id)
        return cell

    def _cells_map(self) -> bytes:
        return _synced(self._index.cells_object)

    def _metadata_map(self) -> bytes:
        return _synced(self._index.metadata_object)

    def _index_after(self, after: str | None) -> int:
        if after is None:
            return 0
        return self._index.index_of(after) + 1 if after in self._index else len(self)

    def _insert(self, new: NewCell, at: int) -> str:
        cells = self._cells_map()
        filled_metadata = storable(new.metadata)
        if not new.id or new.id != clean_text(new.id):
            raise RuntimedError(f"Not a cell id: {new.id!r}")
        if new.id in self._index:
            raise RuntimedError(f"Cell already exists: {new.id}")
        with self._edit() as t:
            position, moved = positions.place(self._index.positions, at)
            self._make_room(moved)
            parts: list[bytes] = []
            cell = t.put_object(cells, new.id, ObjType.Map)
            t.put(cell, "id", ScalarType.Str, new.id)
            t.put(cell, "cell_type", ScalarType.Str, clean_text(new.cell_type))
            t.put(cell, "position", ScalarType.Str, position)
            parts.append(source := t.put_object(cell, "source", ObjType.Text))
            insert_text(t, source, 0, clean_text(new.source))
            t.put(cell, "execution_count", ScalarType.Str, count_text(new.execution_count))
            parts.append(outputs := t.put_object(cell, "outputs", ObjType.List))
            append_strings(t, outputs, 0, new.outputs)
            parts.append(metadata := t.put_object(cell, "metadata", ObjType.Map))
            if filled_metadata:
                write_map(self._doc, t, metadata, filled_metadata, parts.append)
            parts.append(t.put_object(cell, "resolved_assets", ObjType.Map))
            # Code seldom has any. Elsewhere the Map is there before two peers add to it at once.
            if new.attachments or new.cell_type != "code":
                parts.append(attachments := t.put_object(cell, "attachments", ObjType.Map))
                write_attachments(self._doc, t, attachments, new.attachments, parts.append)
            self._index.added(new.id, cell, position, parts)
        return position

    def _make_room(self, moved: dict[int, str]) -> None:
        """Give neighbours that left no room their new positions."""
        if moved:
            ids = self._index.ids
            for cell_id, position in [(ids[i], position) for i, position in moved.items()]:
                self._set_position(cell_id, position)

    def _set_position(self, cell_id: str, position: str) -> None:
        self._put_str(cell_id, "position", position)
        self._index.moved(cell_id, position)

    def _put_str(self, cell_id: str, key: str, value: str) -> None:
        cell = self._cell(cell_id)
        with self._edit() as t:
            t.put(cell, key, ScalarType.Str, value)

    def _object(self, t: Transaction, cell_id: str, cell: bytes, key: str) -> bytes:
        """The object under a key of a cell, made if the cell is damaged."""
        kind = _KINDS[key]
        obj = part(self._doc, cell, key, kind)
        if obj is None:
            obj = t.put_object(cell, key, kind)
            self._index.made_in(cell_id, obj)
        return obj

    def _output_list(self, cell_id: str, t: Transaction | None = None) -> tuple[bytes, list[str]]:
        """The outputs of a cell and their object, made if damaged and there is a transaction."""
        cell = self._cell(cell_id)
        known = self._outputs.get(cell_id)
        if known is not None:
            return known
        if t is None:
            obj = part(self._doc, cell, "outputs", ObjType.List)
            if obj is None:
                return b"", []
        else:
            obj = self._object(t, cell_id, cell, "outputs")
        known = self._outputs[cell_id] = (obj, read_strings(self._doc, obj))
        if len(self._outputs) > _REMEMBERED_OUTPUTS:
            del self._outputs[next(iter(self._outputs))]
        return known


_KINDS = {
    "source": ObjType.Text,
    "outputs": ObjType.List,
    "metadata": ObjType.Map,
    "resolved_assets": ObjType.Map,
    "attachments": ObjType.Map,
}


def _synced(root_object: bytes | None) -> bytes:
    if root_object is None:
        # Making it here would hide the one that is on its way from the daemon.
        raise RuntimedError("document not synced yet")
    return root_object
