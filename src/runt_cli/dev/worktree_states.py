"""What worktrees' daemons have left on disk: finding it, measuring it, removing it.

Only a folder of theirs is ever touched: a real one of this user, named by twelve hex digits, in the
folder for them. Whether a daemon runs there its lock says, which it holds as long as it lives.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import attrs

from runt_cli.daemon.process import daemon_info, daemon_pid, is_alive
from runtimed.daemon.singleton import hold_lock
from runtimed.paths import Paths, user_base

__all__ = ["WorktreeState", "remove", "size_of", "worktree_states"]

_NAME = re.compile(r"[0-9a-f]{12}")


@attrs.frozen
class WorktreeState:
    """A worktree's daemon. `worktree` and `description` are None where nothing tells them; `pid`
    and `version` while none runs."""

    paths: Paths
    is_running: bool
    worktree: str | None
    description: str | None
    pid: int | None
    version: str | None

    @property
    def hash(self) -> str:
        return self.paths.base.name

    @property
    def is_stale(self) -> bool:
        """Whether the worktree is known and is gone."""
        return self.worktree is not None and not Path(self.worktree).exists()


def worktree_states() -> list[WorktreeState]:
    """Every worktree's daemon, running or not, by its hash. Creates nothing."""
    try:
        folders = sorted((user_base() / "worktrees").iterdir())
    except OSError:
        return []
    return [_state(folder) for folder in folders if _is_ours(folder)]


def _is_ours(folder: Path) -> bool:
    if not _NAME.fullmatch(folder.name):
        return False
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _state(base: Path) -> WorktreeState:
    paths = Paths(base=base, socket=base / "runtimed.sock")
    info = daemon_info(paths) or {}
    if endpoint := _text(info, "endpoint"):
        paths = attrs.evolve(paths, socket=Path(endpoint))
    running = is_alive(paths)
    known = info if info.get("worktree_path") else _recorded(paths)
    return WorktreeState(
        paths=paths,
        is_running=running,
        worktree=_text(known, "worktree_path"),
        description=_text(known, "workspace_description"),
        pid=daemon_pid(paths) if running else None,
        version=_text(info, "version") if running else None,
    )


def _recorded(paths: Paths) -> dict[str, Any]:
    import orjson

    try:
        record = orjson.loads(paths.workspace_record.read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _text(content: dict[str, Any], key: str) -> str | None:
    value = content.get(key)
    return value if isinstance(value, str) and value else None


def size_of(state: WorktreeState) -> int:
    """Bytes of the files below a state's folder. Follows no links."""
    total = 0
    for folder, _, files in os.walk(state.paths.base):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
            except OSError:
                continue  # gone meanwhile
    return total


def remove(state: WorktreeState) -> None:
    """Remove a worktree's folder, while no daemon can be in it.

    Raises: AnotherDaemonRunning if one was started meanwhile; OSError.
    """
    base = state.paths.base
    if not _is_ours(base):
        raise FileNotFoundError(f"{base} is no worktree's folder any more")
    with hold_lock(state.paths.lock, state.paths.info, "runt dev clean"):
        shutil.rmtree(base)
