"""Looking at every saved document and every blob on disk, to find the blobs nobody refers to.

Runs as a process of its own (`python -m runtimed.blobs.marking`), since reading a thousand
documents takes seconds of processor time and memory that the daemon need not keep. What was found
in a document is remembered in a file, by size, time and inode, so that the next look at documents
that rest is cheap.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import attrs
import orjson

from runtimed.blobs.collection import Present, Verdict, judge
from runtimed.blobs.files import is_blob_hash
from runtimed.errors import DocumentUnreadable
from runtimed.replacing import replace_file

__all__ = ["Look", "Task", "look", "main"]

_SHARD = re.compile(r"[0-9a-f]{2}\Z")
_MANIFEST = "application/x-jupyter-output+json"
_VERSION = 1

#: How often the folder is listed anew because documents appeared or were renamed meanwhile.
_ATTEMPTS = 5


@attrs.frozen
class Task:
    """What to look at. `live` are names that open notebooks mention. Units: seconds."""

    documents: str
    blobs: str
    marks: str
    grace: float
    live: list[str]


@attrs.frozen
class Look:
    """What was found: names of garbage, or in `blocked` why nothing may be removed.

    `next_due` is when the next blob will have waited long enough, in seconds since 1970.
    """

    garbage: list[str]
    present: int = 0
    documents: int = 0
    scanned: int = 0
    next_due: float | None = None
    blocked: str | None = None


@attrs.define
class _Scanned:
    """What a document mentions, its manifests followed. `missing` is what was not on disk."""

    signature: list[int]
    names: list[str]
    missing: list[str]


class _Blocked(Exception):
    """A document that can't be read may name anything."""


def look(task: Task, now: float) -> Look:
    """Look at everything once and remember it in the marks file. Blocks."""
    marks = _load_marks(Path(task.marks))
    # Listed before anything is read: what is put from here on is none of what is judged.
    present, alone = _list_blobs(task.blobs)
    follow = _Follower(Path(task.blobs), present.keys())
    try:
        documents, scanned = _scan_documents(Path(task.documents), marks["documents"], follow)
    except _Blocked as error:
        return Look([], len(present), blocked=str(error))
    referenced = follow.closure(task.live)[0]
    for document in documents.values():
        referenced.update(document.names)
    verdict = judge(present | alone, referenced, marks["unreferenced_since"], now, task.grace)
    _save_marks(Path(task.marks), documents, verdict)
    return Look(
        verdict.garbage,
        present=len(present),
        documents=len(documents),
        scanned=scanned,
        next_due=verdict.due(task.grace),
    )


def _list_blobs(root: str) -> tuple[dict[str, Present], dict[str, Present]]:
    """Every blob on disk; and every sidecar whose blob is gone."""
    present: dict[str, Present] = {}
    sidecars: dict[str, Present] = {}
    try:
        shards = [entry for entry in os.scandir(root) if _SHARD.match(entry.name)]
    except FileNotFoundError:
        return {}, {}
    for shard in shards:
        for entry in os.scandir(shard.path):
            name = shard.name + entry.name.removesuffix(".meta")
            if not is_blob_hash(name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if entry.name.endswith(".meta"):
                sidecars[name] = Present(status.st_mtime, 0)
            else:
                present[name] = Present(status.st_mtime, status.st_size)
    return present, {name: at for name, at in sidecars.items() if name not in present}


class _Follower:
    """From names to all they lead to: a manifest names blobs."""

    def __init__(self, root: Path, present: AbstractSet[str]) -> None:
        self._root = root
        self._present = present
        self._manifests: dict[str, set[str] | None] = {}

    def closure(self, names: Iterable[str]) -> tuple[set[str], set[str]]:
        """These names and all they lead to; and which of them are not on disk."""
        found, missing = set(), set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found.add(name)
            led_to = self._led_to(name) if name in self._present else None
            if led_to is None:
                missing.add(name)
            else:
                waiting.extend(led_to - found)
        return found, missing

    def is_there(self, name: str) -> bool:
        return name in self._present

    def _led_to(self, name: str) -> set[str] | None:
        """The names in a manifest, none in another blob; None if it is gone."""
        if name not in self._manifests:
            self._manifests[name] = self._read(name)
        return self._manifests[name]

    def _read(self, name: str) -> set[str] | None:
        from runtimed.document.mentions import mentioned_in_text

        path = self._root / name[:2] / name[2:]
        try:
            # A blob without a sidecar that can be read may be a manifest, too.
            media_type = orjson.loads(path.with_name(path.name + ".meta").read_bytes())[
                "media_type"
            ]
        except (OSError, ValueError, TypeError, KeyError):
            media_type = _MANIFEST
        if media_type != _MANIFEST:
            return set()
        try:
            return mentioned_in_text(path.read_bytes().decode("utf-8", "replace"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _Blocked(f"{path}: {error.strerror or error}") from error


def _scan_documents(
    folder: Path, known: dict[str, _Scanned], follow: _Follower
) -> tuple[dict[str, _Scanned], int]:
    """What each saved document mentions; and how many had to be read for that.

    Looks again until nothing has appeared: a document that is renamed while the folder is read
    must not be passed over under both names.
    """
    documents: dict[str, _Scanned] = {}
    scanned = 0
    for _ in range(_ATTEMPTS):
        settled = True
        current = dict(_list_documents(folder))
        for path, signature in current.items():
            if path in documents:
                continue  # it may have changed since; what it said in this look counts
            settled = False
            found = known.get(path)
            if found is None or found.signature != signature or _has_come(found, follow):
                names = _read_document(Path(path))
                if names is None:
                    continue  # renamed or removed: the next list tells
                scanned += 1
                closure, missing = follow.closure(names)
                found = _Scanned(signature, sorted(closure), sorted(missing))
            documents[path] = found
        if settled:
            return {path: documents[path] for path in current}, scanned
    raise _Blocked(f"{folder}: files come and go too fast")


def _has_come(found: _Scanned, follow: _Follower) -> bool:
    """Whether a blob has come since that was missing, so that where it leads to is not known."""
    return any(follow.is_there(name) for name in found.missing)


def _list_documents(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """All files below a folder, less hidden ones: those are being written."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = os.path.join(place, name)  # noqa: PTH118 - thousands of them
            if not name.startswith("."):
                try:
                    status = os.stat(path)  # noqa: PTH116
                except OSError:
                    continue
                yield path, [status.st_size, status.st_mtime_ns, status.st_ino]


def _read_document(path: Path) -> set[str] | None:
    """The names in a file; None if it is gone.

    Special cases: a document that was kept aside as damaged, and is, names nothing.
    Raises: _Blocked for any other that can't be read.
    """
    from runtimed.document.mentions import mentioned_in_document, mentioned_in_text

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _Blocked(f"{path}: {error.strerror or error}") from error
    if ".automerge" not in path.name:
        return mentioned_in_text(data.decode("utf-8", "replace"))
    try:
        return mentioned_in_document(data)
    except DocumentUnreadable as error:
        if ".automerge.corrupt" in path.name or not data:
            return set()
        raise _Blocked(f"{path}: {error}") from error


def _load_marks(path: Path) -> dict[str, Any]:
    """What the last look found; nothing if that can't be read, which costs time alone."""
    try:
        content = orjson.loads(path.read_bytes())
        if content["version"] == _VERSION:
            return {
                "documents": {
                    name: _Scanned(*entry) for name, entry in content["documents"].items()
                },
                "unreferenced_since": dict(content["unreferenced_since"]),
            }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass
    return {"documents": {}, "unreferenced_since": {}}


def _save_marks(path: Path, documents: dict[str, _Scanned], verdict: Verdict) -> None:
    content = {
        "version": _VERSION,
        "documents": {
            name: [entry.signature, entry.names, entry.missing] for name, entry in documents.items()
        },
        "unreferenced_since": verdict.unreferenced_since,
    }
    replace_file(path, orjson.dumps(content))


def main() -> None:
    """Read a Task as JSON from standard input, write a Look as JSON to standard output."""
    os.nice(10)
    task = Task(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(orjson.dumps(attrs.asdict(look(task, time.time()))))


if __name__ == "__main__":
    main()
