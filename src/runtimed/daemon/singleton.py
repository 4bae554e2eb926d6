"""One daemon per base directory: the lock, and the file that says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import attrs
import orjson

from runtimed.daemon.lock_file import DAEMON, clear_holder, read_holder, write_holder
from runtimed.errors import AnotherDaemonRunning, StateDirectoryUnusable
from runtimed.info_file import read_info_file
from runtimed.replacing import replace_file

__all__ = ["DaemonInfo", "hold_lock", "now_text", "read_info", "record_workspace", "write_info"]

log = logging.getLogger(__name__)


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


#: Seconds to wait for the lock: whoever only looks whether there is a daemon holds it for an
#: instant, and must not be taken for one.
_PATIENCE = 0.25


@contextlib.contextmanager
def hold_lock(path: Path, info: Path, role: str = DAEMON) -> Iterator[None]:
    """Hold the singleton lock for the length of the block. The file stays; the lock goes with us.

    While the lock is held the file says who holds it, and as what, whatever became of the info
    file; afterwards it is empty.

    Raises: AnotherDaemonRunning naming the other one; StateDirectoryUnusable.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise StateDirectoryUnusable(f"The lock {path} can't be made: {error.strerror}") from error
    try:
        if not _acquire(descriptor):
            holder = read_holder(path)
            if holder is not None and not holder.is_daemon:
                raise AnotherDaemonRunning(
                    f"No daemon can start now: '{holder.role}' (pid {holder.process.pid}) holds "
                    f"{path}. Try again when it has ended"
                )
            other = read_info(info)
            raise AnotherDaemonRunning(
                f"Another daemon is already running: it holds {path}\n"
                f"Running daemon: pid={other.pid if other else 0}, "
                f"endpoint={other.endpoint if other else 'unknown'}"
            )
        if not _is_still(path, descriptor):
            raise StateDirectoryUnusable(
                f"The state directory {path.parent} was removed meanwhile. Try again"
            )
        try:
            write_holder(descriptor, role)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            yield
        finally:
            clear_holder(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> StateDirectoryUnusable:
    return StateDirectoryUnusable(
        f"{path} can't be written: {error.strerror or error}. Free some space there, or set "
        "XDG_CACHE_HOME or RUNTIMED_SOCKET_PATH to another place"
    )


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _acquire(descriptor: int) -> bool:
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                return False
            time.sleep(0.01)
        else:
            return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that is locked is the one that others would open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def read_info(path: Path) -> DaemonInfo | None:
    """daemon.json as it is; None when it is missing or damaged."""
    values = read_info_file(path) or {}
    if not {"endpoint", "pid", "version", "started_at"} <= values.keys():
        return None
    return DaemonInfo(
        **{key: values[key] for key in attrs.fields_dict(DaemonInfo) if key in values}
    )


@contextlib.contextmanager
def write_info(path: Path, info: DaemonInfo) -> Iterator[None]:
    """daemon.json for the length of the block, written whole or not at all.

    Raises: StateDirectoryUnusable.
    """
    content = attrs.asdict(info, filter=lambda _, value: value is not None)
    temporary = path.with_suffix(".json.tmp")
    try:
        temporary.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def record_workspace(path: Path, info: DaemonInfo) -> None:
    """Note which workspace a base directory is for, for those who find it when nobody runs there.

    A workspace without such a note is one that nobody can tell is gone; nothing else needs it.
    """
    content = {
        "worktree_path": info.worktree_path,
        "workspace_description": info.workspace_description,
    }
    try:
        replace_file(path, orjson.dumps(content, option=orjson.OPT_INDENT_2))
    except OSError as error:
        log.warning("the workspace is not recorded path=%s error=%s", path, error)


def now_text() -> str:
    return datetime.now(timezone.utc).isoformat()
