"""The outputs of one running cell: kernel messages in, changes of the stored list out.

Streams, displays and clearing act on values in memory; `take_changes` tells, as seldom as the
caller likes, what to change in the document. Knows no document, no clock and no kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from runtimed.outputs.manifest import BLOB_LIMIT, Manifest, build_manifest
from runtimed.outputs.streams import StreamText

__all__ = ["CellOutputs", "SetOutput", "Truncate"]

_SEGMENT = 1024 * 1024
"""Characters from which on the finished text of a stream becomes an entry of its own."""

_KEPT_OPEN = 65_536
"""Characters up to which a stream stays open after the execution, for threads that print on."""

_HUGE = 64 * 1024 * 1024
"""UTF-8 bytes of one append that are kept together."""


@attrs.frozen
class SetOutput:
    """Entry `index` is this manifest now. An index equal to the length appends."""

    index: int
    manifest: Manifest


@attrs.frozen
class Truncate:
    """Only the first `length` entries stay."""

    length: int


@attrs.define(eq=False)
class _Entry:
    index: int
    output: dict[str, Any]  # its large values are dropped once they are in a manifest
    stream: StreamText | None = None
    full: bool = False  # further text of its stream goes to the next entry


class CellOutputs:
    """The outputs of one execution, in order.

    A stream grows its entry for as long as that is the last one. Long streams are several
    neighbouring entries of the same name: finished text is sealed and leaves memory, so that an
    hour of streaming costs what is new. Readers merge neighbours.
    """

    def __init__(self, stale: int = 0) -> None:
        """Begin without outputs. `stale` entries of an earlier run are still in the document."""
        self._entries: list[_Entry] = []
        self._stored: list[str] = [""] * stale  # hashes of the document's entries
        self._dirty: set[int] = set()
        self._shown = 0  # the most entries this execution has had in the document
        self._displays: dict[str, list[_Entry]] = {}
        self._clear_next = False
        self._has_error = False
        self._pending_chars = 0
        self._streamed = 0  # characters the last stream entry has got
        self._seal_at = _SEGMENT

    @property
    def dirty(self) -> bool:
        """Whether `take_changes` has something to say."""
        return bool(self._dirty) or len(self._stored) > len(self._entries)

    @property
    def length(self) -> int:
        """Number of entries."""
        return len(self._entries)

    @property
    def has_error(self) -> bool:
        """Whether the execution has shown an error, cleared or not."""
        return self._has_error

    @property
    def pending_chars(self) -> int:
        """Characters received since the last `take_changes`."""
        return self._pending_chars

    @property
    def only_revised(self) -> bool:
        """Whether all that is new extends or replaces what has been taken before: a stream that
        grows, a display that is updated, outputs that are cleared and shown again."""
        if len(self._stored) > max(self._shown, len(self._entries)):
            return False  # those of an earlier run have to go
        return all(index < self._shown for index in self._dirty)

    def stream(self, name: str, text: str) -> None:
        """Text arrived on `stdout` or `stderr`."""
        if not text:
            return
        self._before_output()
        self._pending_chars += len(text)
        entry = self._entries[-1] if self._entries else None
        if entry is None or entry.stream is None or entry.output["name"] != name:
            entry = self._open_stream(name, StreamText())
        if len(text) < _SEGMENT:
            if entry.full:
                entry = self._close(entry)
            assert entry.stream is not None
            entry.stream.append(text)
            self._dirty.add(entry.index)
            self._streamed += len(text)
            if self._streamed >= self._seal_at:
                self._seal(entry)
            return
        for piece in _pieces(text):
            if entry.full or self._streamed:
                entry = self._close(entry)
            assert entry.stream is not None
            entry.stream.append(piece)
            entry.full = True
            self._dirty.add(entry.index)

    def display(
        self,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        display_id: str | None = None,
    ) -> None:
        """A display_data message arrived."""
        self._add_bundle({"output_type": "display_data"}, data, metadata, display_id)

    def result(
        self,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        execution_count: int | None = None,
        display_id: str | None = None,
    ) -> None:
        """An execute_result message arrived."""
        output = {"output_type": "execute_result", "execution_count": execution_count}
        self._add_bundle(output, data, metadata, display_id)

    def error(self, ename: str, evalue: str, traceback: Sequence[str]) -> None:
        """An error message arrived."""
        self._before_output()
        self._has_error = True
        self._pending_chars += len(evalue) + sum(map(len, traceback))
        self._append(
            {
                "output_type": "error",
                "ename": ename,
                "evalue": evalue,
                "traceback": list(traceback),
            }
        )

    def clear(self, wait: bool = False) -> None:
        """A clear_output message arrived. With `wait`, the next output clears."""
        self._clear_next = wait
        if not wait:
            self._entries.clear()
            self._displays.clear()
            self._dirty.clear()

    def finish(self) -> None:
        """The execution has ended: let go of long text. More may still come, as a new entry."""
        last = self._entries[-1] if self._entries else None
        if last is not None and last.stream is not None and last.stream.size > _KEPT_OPEN:
            self._finish(last)

    def emptied(self) -> None:
        """Somebody else has emptied the document's list: forget all, later outputs begin at 0."""
        self.clear()
        self._stored.clear()
        self._shown = 0

    def update_display(
        self, display_id: str, data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> bool:
        """An update_display_data message arrived. Changes all displays of that id in this cell.

        Returns whether there is one; those of other cells are the caller's matter.
        """
        entries = self._displays.get(display_id, ())
        for entry in entries:
            entry.output["data"] = data
            entry.output["metadata"] = metadata
            self._dirty.add(entry.index)
        if entries:
            self._pending_chars += _length(data)
        return bool(entries)

    def take_changes(self) -> list[SetOutput | Truncate]:
        """What to change in the document since the last call, merged; apply in order.

        An output that can't be stored (over 100 MiB, not expressible as JSON) is replaced by a line
        on stderr that says so.
        """
        changes: list[SetOutput | Truncate] = []
        if len(self._stored) > len(self._entries):
            changes.append(Truncate(len(self._entries)))
            del self._stored[len(self._entries) :]
        for index in sorted(self._dirty):
            manifest = self._build(self._entries[index])
            if self._stored[index : index + 1] != [manifest.hash]:
                self._stored[index : index + 1] = [manifest.hash]
                changes.append(SetOutput(index, manifest))
        self._dirty.clear()
        self._pending_chars = 0
        self._shown = max(self._shown, len(self._stored))
        return changes

    def _before_output(self) -> None:
        if self._clear_next:
            self.clear()

    def _append(self, output: dict[str, Any], stream: StreamText | None = None) -> _Entry:
        if self._entries:
            self._finish(self._entries[-1])
        entry = _Entry(len(self._entries), output, stream)
        self._entries.append(entry)
        self._dirty.add(entry.index)
        return entry

    def _add_bundle(
        self,
        output: dict[str, Any],
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None,
        display_id: str | None,
    ) -> None:
        self._before_output()
        self._pending_chars += _length(data)
        output["data"] = data
        output["metadata"] = metadata
        if display_id is not None:
            output["transient"] = {"display_id": display_id}
        entry = self._append(output)
        if display_id is not None:
            self._displays.setdefault(display_id, []).append(entry)

    def _open_stream(self, name: str, stream: StreamText) -> _Entry:
        self._streamed = 0
        self._seal_at = _SEGMENT
        return self._append({"output_type": "stream", "name": name}, stream)

    def _seal(self, entry: _Entry) -> None:
        """Leave finished text behind in the entry, if enough has come together."""
        stream = entry.stream
        assert stream is not None
        self._seal_at = self._streamed + _SEGMENT
        if stream.size >= _SEGMENT and (finished := stream.take_finished()):
            self._close(entry, finished)
            self._streamed = stream.size

    def _close(self, entry: _Entry, text: str | None = None) -> _Entry:
        """End the entry with this text, or all there is; its stream goes on in a new one."""
        stream = entry.stream
        assert stream is not None
        if text is None:
            text = stream.take_finished(everything=True)
        entry.stream = None
        if entry.index in self._dirty:
            entry.output["text"] = text
        return self._open_stream(entry.output["name"], stream)

    def _finish(self, entry: _Entry) -> None:
        """The stream entry gets no more text: keep what there is only until it is taken."""
        if entry.stream is not None and entry.index in self._dirty:
            entry.output["text"] = entry.stream.text
        entry.stream = None

    def _build(self, entry: _Entry) -> Manifest:
        output = entry.output
        if entry.stream is not None:
            stream = entry.stream
            text = stream.take_finished(everything=True) if entry.full else stream.text
            output = {**output, "text": text}
        try:
            manifest = build_manifest(output)
            size = manifest.largest
            problem = f"{size >> 20} MiB are over the limit of {BLOB_LIMIT >> 20} MiB"
        except ValueError as error:
            size, problem = BLOB_LIMIT + 1, str(error)
        for key in ("data", "metadata", "text", "traceback"):
            entry.output.pop(key, None)
        if size <= BLOB_LIMIT:
            return manifest
        note = f"[{output['output_type']} output left out: {problem}]\n"
        return build_manifest({"output_type": "stream", "name": "stderr", "text": note})


def _length(data: Mapping[str, Any]) -> int:
    return sum(len(value) for value in data.values() if isinstance(value, str))


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of at most _HUGE UTF-8 bytes; nearly always one piece, not copied."""
    if len(text) * 4 <= _HUGE or (text.isascii() and len(text) <= _HUGE):
        yield text
        return
    data = text.encode("utf-8", "surrogatepass")
    at = 0
    while at < len(data):
        stop = min(at + _HUGE, len(data))
        while stop < len(data) and data[stop] & 0xC0 == 0x80:
            stop -= 1
        yield data[at:stop].decode("utf-8", "surrogatepass")
        at = stop
