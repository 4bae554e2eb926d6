"""Removing the connection files of kernels that are gone, and no others.

A file is removed when it has rested a while, no process of ours has it or holds its ports, and none
of its five ports takes a connection. What can't be told stays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from runtimed.errors import ConnectionFileUnusable
from runtimed.jupyter.connection_files import (
    CHANNELS,
    ConnectionInfo,
    SkippedFile,
    connection_files,
    read_connection_file,
)
from runtimed.jupyter.discovery import look_at
from runtimed.jupyter.ending import known_process, runs
from runtimed.jupyter.folders import runtime_folder
from runtimed.jupyter.knocking import knock
from runtimed.jupyter.own_files import noted_process, remove_files

__all__ = ["Cleaning", "clean_connection_files"]

#: Seconds that a file must have rested: whoever has just written it may be about to start a kernel.
REST = 10.0


@attrs.frozen
class Cleaning:
    """What was removed (or would be), how many kernels were left alone, what could not be told."""

    removed: Sequence[Path]
    alive: int
    errors: Sequence[SkippedFile]


def clean_connection_files(
    environ: Mapping[str, str] = os.environ,
    *,
    timeout: float = 2.0,
    dry_run: bool = False,
    rest: float = REST,
) -> Cleaning:
    """Remove the files of kernels that are gone. Blocks.

    Units: timeout in seconds, for other machines to answer; rest in seconds.
    """
    paths, skipped = connection_files(runtime_folder(environ))
    kernels: list[ConnectionInfo] = []
    for path in paths:
        try:
            kernels.append(read_connection_file(path))
        except ConnectionFileUnusable as error:
            skipped.append(SkippedFile(path, str(error)))
    removed: list[Path] = []
    for kernel in _dead(kernels, timeout, rest):
        try:
            if not dry_run:
                remove_files(kernel.path)
            removed.append(kernel.path)
        except OSError as error:
            skipped.append(SkippedFile(kernel.path, f"it can't be removed: {error.strerror}"))
    if not dry_run:
        _remove_rests(runtime_folder(environ), rest)
    failed = {file.path for file in skipped}
    alive = sum(1 for k in kernels if k.path not in failed and k.path not in removed)
    return Cleaning(removed, alive, skipped)


def _dead(
    kernels: Sequence[ConnectionInfo], timeout: float, rest: float
) -> Iterator[ConnectionInfo]:
    seen = {kernel.path: kernel for kernel in look_at(kernels, limit=timeout)}
    rested = [kernel for kernel in kernels if _rested(kernel.path, rest)]
    # Ours whose process is known to have ended, whoever has its ports now.
    ended = [k for k in rested if not seen[k.path].answers and _has_ended(k)]
    unanswered = [k for k in rested if seen[k.path].state == "dead" and k not in ended]
    for channel in CHANNELS:
        doors = knock(unanswered, time.monotonic() + timeout, channel)
        unanswered = [kernel for kernel, door in doors if door == "closed"]
    yield from ended
    yield from unanswered


def _rested(path: Path, rest: float) -> bool:
    try:
        return time.time() - path.lstat().st_mtime >= rest
    except OSError:
        return False


def _has_ended(kernel: ConnectionInfo) -> bool:
    return noted_process(kernel.path) is not None and known_process(kernel) is None


def _remove_rests(folder: Path, rest: float) -> None:
    """Logs and notes of kernels that removed their connection file themselves."""
    for note in folder.glob("runt-kernel-*.process"):
        path = note.with_suffix(".json")
        process = noted_process(path)
        if not path.exists() and _rested(note, rest) and not (process and runs(process)):
            remove_files(path)
