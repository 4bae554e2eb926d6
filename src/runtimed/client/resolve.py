"""From what a document holds of an output to the whole output.

An entry is the hash of a manifest or the JSON of an output. Manifests and blobs never change, so
what was read once is kept; what isn't at hand is read in a thread, from the daemon's blob folder or
from its blob server.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio

from runtimed.client.results import Output
from runtimed.errors import RuntimedError
from runtimed.outputs.json_text import compact_json, parse_json
from runtimed.outputs.manifest import resolve_manifest
from runtimed.outputs.merge import merge_streams

__all__ = ["BlobUnavailableError", "ContentCache", "OutputReader", "is_hash", "output_from"]

#: Bytes of manifests and blobs kept in this process.
_CACHE_SIZE = 64 * 1024 * 1024

#: More entries than this are put together in a thread even when all are at hand.
_MANY = 200

#: How long the blob server may be silent, in seconds.
_FETCH_TIMEOUT = 30.0

ReadBlob = Callable[[str], bytes]

_HEX = frozenset("0123456789abcdef")


class BlobUnavailableError(RuntimedError):
    """A blob is in reach neither on disk nor over HTTP."""


class _NotAtHandError(Exception):
    """Something would have to be read first."""


class ContentCache:
    """Bytes by hash, the least recently used dropped first. Used from several threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used = 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> bytes | None:
        with self._lock:
            content = self._contents.get(digest)
            if content is not None:
                self._contents.move_to_end(digest)
            return content

    def put(self, digest: str, content: bytes) -> None:
        with self._lock:
            if digest in self._contents or len(content) > self._size // 2:
                return
            self._contents[digest] = content
            self._used += len(content)
            while self._used > self._size:
                _, dropped = self._contents.popitem(last=False)
                self._used -= len(dropped)


_cache = ContentCache(_CACHE_SIZE)


class OutputReader:
    """Reads outputs for one connection: it knows where that daemon keeps its blobs."""

    def __init__(
        self, blob_root: Path | None, blob_port: int | None, cache: ContentCache = _cache
    ) -> None:
        self._root = blob_root
        self._port = blob_port
        self._cache = cache

    def remember(self, digest: str, manifest: str) -> None:
        """A manifest has come along with a broadcast: no need to fetch it."""
        self._cache.put(digest, manifest.encode())

    async def outputs(self, entries: Sequence[str]) -> list[Output]:
        """The outputs of one cell. Neighbouring pieces of one stream become one output."""
        return (await self.outputs_of([entries]))[0]

    async def outputs_of(self, cells: Sequence[Sequence[str]]) -> list[list[Output]]:
        """The outputs of several cells, read in one go."""
        if sum(map(len, cells)) <= _MANY:
            try:
                return [self._merged(entries, self._at_hand) for entries in cells]
            except _NotAtHandError:
                pass
        return await trio.to_thread.run_sync(
            lambda: [self._merged(entries, self.read) for entries in cells], abandon_on_cancel=True
        )

    async def single(self, entry: str, output_type: str) -> Output:
        """One output as announced by a broadcast of that type."""
        try:
            return output_from(self._resolve(entry, self._at_hand, output_type))
        except _NotAtHandError:
            pass
        return await trio.to_thread.run_sync(
            lambda: output_from(self._resolve(entry, self.read, output_type)),
            abandon_on_cancel=True,
        )

    def read(self, digest: str) -> bytes:
        """A blob, wherever it is. Blocks.

        Raises: BlobUnavailableError.
        """
        content = self._cache.get(digest)
        if content is None:
            content = self._from_disk(digest)
            if content is None:
                content = self._from_server(digest)
            self._cache.put(digest, content)
        return content

    def _at_hand(self, digest: str) -> bytes:
        content = self._cache.get(digest)
        if content is None:
            raise _NotAtHandError
        return content

    def _from_disk(self, digest: str) -> bytes | None:
        if self._root is None or not is_hash(digest):
            return None
        try:
            return (self._root / digest[:2] / digest[2:]).read_bytes()
        except OSError:
            return None

    def _from_server(self, digest: str) -> bytes:
        if self._port is None:
            raise BlobUnavailableError(
                f"blob {digest} is not on disk and the daemon named no blob server"
            )
        from http.client import HTTPConnection, HTTPException

        connection = HTTPConnection("127.0.0.1", self._port, timeout=_FETCH_TIMEOUT)
        try:
            connection.request("GET", f"/blob/{digest}")
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise BlobUnavailableError(
                    f"blob {digest}: the blob server answered {response.status}"
                )
        except (OSError, HTTPException) as error:
            raise BlobUnavailableError(f"blob {digest}: {error}") from error
        finally:
            connection.close()
        return content

    def _merged(self, entries: Sequence[str], read: ReadBlob) -> list[Output]:
        values = [self._resolve(entry, read) for entry in entries]
        return [output_from(value) for value in merge_streams(values)]

    def _resolve(self, entry: str, read: ReadBlob, announced: str | None = None) -> dict[str, Any]:
        """An entry as the output it stands for; never fails, whatever the entry holds."""
        try:
            if is_hash(entry):
                manifest = parse_json(read(entry))
                return dict(resolve_manifest(manifest, read))
            value = parse_json(entry)
            if isinstance(value, dict) and isinstance(value.get("output_type"), str):
                return value
        except _NotAtHandError:
            raise
        except (RuntimedError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return _unresolved(entry, announced)


def is_hash(entry: str) -> bool:
    """Whether an entry names a manifest. Tested first, for digits alone are JSON too."""
    return len(entry) == 64 and _HEX.issuperset(entry)


def _unresolved(entry: str, announced: str | None) -> dict[str, Any]:
    beginning = entry[:64]
    if announced is None or is_hash(entry):
        text = f"Failed to resolve output: {beginning}"
    elif announced == "error":
        return {
            "output_type": "error",
            "ename": "OutputParseError",
            "evalue": f"Failed to parse error output: {entry}",
            "traceback": [],
        }
    else:
        text = f"Failed to parse output: {entry}"
    return {"output_type": "stream", "name": "stderr", "text": text}


def output_from(value: Mapping[str, Any]) -> Output:
    """A Jupyter output as the result type, every part of it as text."""
    output_type = value["output_type"]
    if output_type == "stream":
        return Output(
            output_type="stream",
            name=_text(value.get("name") or "stdout"),
            text=_text(value.get("text", "")),
        )
    if output_type == "error":
        traceback = value.get("traceback")
        return Output(
            output_type="error",
            ename=_text(value.get("ename", "")),
            evalue=_text(value.get("evalue", "")),
            traceback=[_text(line) for line in traceback] if isinstance(traceback, list) else [],
        )
    data = value.get("data")
    metadata = value.get("metadata")
    transient = value.get("transient")
    display_id = transient.get("display_id") if isinstance(transient, dict) else None
    count = value.get("execution_count")
    if output_type not in ("display_data", "execute_result") and not isinstance(data, dict):
        # A kind of a later day: its whole content is better than nothing.
        return Output(output_type=output_type, text=compact_json(dict(value)).decode())
    bundle = data if isinstance(data, dict) else {}
    return Output(
        output_type=output_type,
        data={mime: _bundle_text(mime, content) for mime, content in bundle.items()},
        execution_count=count
        if output_type == "execute_result" and isinstance(count, int)
        else None,
        metadata=metadata if isinstance(metadata, dict) else {},
        display_id=display_id if isinstance(display_id, str) else None,
    )


def _bundle_text(mime: str, content: Any) -> str:
    if isinstance(content, list) and not (mime == "application/json" or mime.endswith("+json")):
        return _text(content)
    return content if isinstance(content, str) else compact_json(content).decode()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value)
    return compact_json(value).decode()
