"""One daemon per base directory: the lock, and the file that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import attrs
import orjson

from runtimed.errors import AnotherDaemonRunning, StateDirectoryUnusable

__all__ = ["DaemonInfo", "hold_lock", "read_info", "write_info"]


@attrs.frozen
class DaemonInfo:
    """The content of daemon.json. The file's presence does not prove that the daemon lives."""

    endpoint: str
    pid: int
    version: str
    started_at: str
    blob_port: int | None = None
    worktree_path: str | None = None
    workspace_description: str | None = None


@contextlib.contextmanager
def hold_lock(path: Path, info: Path) -> Iterator[None]:
    """Hold the singleton lock for the length of the block. The file stays; the lock goes with us.

    Raises: AnotherDaemonRunning naming the other one.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateDirectoryUnusable(f"The lock {path} can't be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read_info(info)
            raise AnotherDaemonRunning(
                f"Another daemon is already running: pid={other.pid if other else 0}, "
                f"endpoint={other.endpoint if other else 'unknown'}"
            ) from None
        yield
    finally:
        os.close(descriptor)


def read_info(path: Path) -> DaemonInfo | None:
    """daemon.json as it is; None when it is missing or damaged."""
    try:
        value: Any = orjson.loads(path.read_bytes())
        return DaemonInfo(
            endpoint=str(value["endpoint"]),
            pid=int(value["pid"]),
            version=str(value["version"]),
            started_at=str(value["started_at"]),
            blob_port=value.get("blob_port"),
            worktree_path=value.get("worktree_path"),
            workspace_description=value.get("workspace_description"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


@contextlib.contextmanager
def write_info(path: Path, info: DaemonInfo) -> Iterator[None]:
    """daemon.json for the length of the block, written whole or not at all."""
    content = attrs.asdict(info, filter=lambda _, value: value is not None)
    temporary = path.with_suffix(".json.tmp")
    temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    temporary.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def now_text() -> str:
    return datetime.now(timezone.utc).isoformat()
