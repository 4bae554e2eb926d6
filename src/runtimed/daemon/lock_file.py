"""What the daemon's lock file says: which process holds the lock, and as what.

The file outlives whoever wrote it, and a process id may have been given to somebody else since. So
a process is named together with its start, and only one that still is that process is told of.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import attrs
import orjson

from runtimed.kernels.registry import KernelRecord, record_process

__all__ = ["DAEMON", "LockHolder", "clear_holder", "read_holder", "write_holder"]

#: The role of a daemon; others hold its lock to keep one from starting, and are named as commands.
DAEMON = "daemon"

_LONGEST = 4096


@attrs.frozen
class LockHolder:
    """Who holds the lock. `role` is DAEMON, or the command that has it for a moment."""

    process: KernelRecord
    role: str

    @property
    def is_daemon(self) -> bool:
        return self.role == DAEMON


def write_holder(descriptor: int, role: str) -> None:
    """Note in the open lock file that this process holds it. Raises: OSError."""
    content = {**attrs.asdict(record_process(os.getpid())), "role": role}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, orjson.dumps(content) + b"\n", 0)


def clear_holder(descriptor: int) -> None:
    """Empty the open lock file, before its lock is let go."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)


def read_holder(path: Path) -> LockHolder | None:
    """Who the lock file names, if that process still runs; None with any other content.

    It says nothing about whether the lock is held.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        content: Any = orjson.loads(os.read(descriptor, _LONGEST))
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)
    if not isinstance(content, dict):
        return None
    pid, started, boot, role = (content.get(key) for key in ("pid", "started", "boot", "role"))
    if type(pid) is not int or not 1 < pid < 1 << 31:
        return None
    if not (isinstance(started, str) and started and isinstance(boot, str)):
        return None
    if not isinstance(role, str):
        return None
    process = KernelRecord(pid, started, boot)
    return LockHolder(process, role) if record_process(pid) == process else None
