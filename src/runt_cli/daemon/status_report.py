"""What `runt daemon status` reports, gathered with or without a daemon; creates nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs

from runt_cli.daemon.process import daemon_info
from runtimed.client.daemon_client import DaemonClient
from runtimed.errors import DaemonSilent, RuntimedError
from runtimed.paths import Paths, default_paths, worktree_hash
from runtimed.service.installation import installed_service

__all__ = ["Looked", "acting_variables", "look", "open_rooms", "settings_trouble"]

#: Seconds for the daemon to answer.
_PATIENCE = 3.0

_VARIABLES = (
    "RUNTIMED_DEV",
    "RUNTIMED_WORKSPACE_PATH",
    "RUNTIMED_WORKSPACE_NAME",
    "RUNTIMED_VITE_PORT",
)
_COUNTS = (
    "uv_available",
    "uv_warming",
    "uv_target",
    "conda_available",
    "conda_warming",
    "conda_target",
)
#: Keys of the pools that are there only when they say something.
_OPTIONAL = ("uv_error", "conda_error", "uv_warm_kernels", "uv_warm_kernels_target")

#: Variables beside those of our own that decide where things lie or what is logged.
_FOREIGN = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "RUST_LOG", "JUPYTER_RUNTIME_DIR")
_HIDDEN = "(not shown, for it may hold credentials)"
_OWN = ("RUNTIMED_", "RUNT_", "CONDUCTOR_WORKSPACE_")


@attrs.frozen
class Looked:
    """What was found: the report as `--json` prints it, and why no daemon answers if none does."""

    paths: Paths
    report: dict[str, Any]
    trouble: RuntimedError | None

    @property
    def silent(self) -> DaemonSilent | None:
        """The daemon that is there and does not answer."""
        return self.trouble if isinstance(self.trouble, DaemonSilent) else None


def look() -> Looked:
    """Ask the daemon, and read what lies beside its socket.

    Source: command line specification, "daemon status"; its keys, no more and no fewer.
    """
    paths = default_paths()
    info = daemon_info(paths)
    stats, trouble = _pool_stats()
    port = info.get("blob_port") if info and stats is not None else None
    workspace = paths.workspace or _git_top_level(Path.cwd())
    report = {
        "channel": "stable",
        "socket_path": str(info["endpoint"]) if info and "endpoint" in info else str(paths.socket),
        "installed": installed_service(paths) is not None,
        "running": stats is not None,
        "dev_mode": paths.workspace is not None,
        "daemon_info": info,
        "pool_stats": stats,
        "paths": {
            "base_dir": str(paths.base),
            "log_path": str(paths.log),
            "envs_dir": str(paths.envs),
            "blobs_dir": str(paths.blobs),
            "notebooks_dir": _notebooks_folder(paths),
        },
        "env": {name: os.environ.get(name) for name in _VARIABLES},
        "blob_url": f"http://127.0.0.1:{port}" if port else None,
        "worktree_hash": worktree_hash(workspace) if workspace else None,
    }
    return Looked(paths, report, trouble)


def open_rooms() -> list[dict[str, Any]] | None:
    """The open notebooks; None when the daemon does not say."""
    try:
        return DaemonClient(timeout=_PATIENCE).list_rooms()
    except RuntimedError:
        return None


def acting_variables() -> dict[str, str]:
    """The variables of this environment that change which daemon is meant, or what one does.

    What may hold credentials is not shown: people send others what a status says.
    """
    from runtimed.credentials import is_secret

    return {
        name: _HIDDEN if name not in _VARIABLES and is_secret(name, value) else value
        for name, value in sorted(os.environ.items())
        if name in _FOREIGN or name.startswith(_OWN)
    }


def settings_trouble(file: Path) -> str:
    """Why a settings file does not count, or not all of it; '' if nothing is wrong with it."""
    from runtimed.document.settings_mirror import parse_mirror
    from runtimed.document.settings_unused import unused_values

    try:
        count = len(unused_values(parse_mirror(file.read_bytes())))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError):
        return "can't be read, see 'runt doctor'"
    values = "1 value" if count == 1 else f"{count} values"
    return f"{values} not used, see 'runt doctor'" if count else ""


def _pool_stats() -> tuple[dict[str, Any] | None, RuntimedError | None]:
    try:
        stats: dict[str, Any] = dict(DaemonClient(timeout=_PATIENCE).status())
    except RuntimedError as error:
        return None, error
    counts = {key: stats.get(key, 0) for key in _COUNTS}
    return counts | {key: stats[key] for key in _OPTIONAL if stats.get(key) is not None}, None


def _notebooks_folder(paths: Paths) -> str | None:
    home = os.environ.get("HOME")
    if paths.workspace is not None:
        return str(paths.workspace / "notebooks")
    return str(Path(home) / "notebooks") if home else None


def _git_top_level(folder: Path) -> Path | None:
    """The repository that a folder is in. Looked for and not asked of git, which would take as long
    as everything else here."""
    for each in (folder, *folder.parents):
        if (each / ".git").exists():
            return each
    return None
