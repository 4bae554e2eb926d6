"""What `runt daemon status` reports, gathered with or without a daemon; creates nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from runt_cli.daemon.process import daemon_info
from runtimed.client.daemon_client import DaemonClient
from runtimed.errors import RuntimedError
from runtimed.paths import Paths, config_root, default_paths, worktree_hash

__all__ = ["status_report"]

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


def status_report() -> dict[str, Any]:
    """The report, as `--json` prints it.

    Source: command line specification, "daemon status"; its keys, no more and no fewer.
    """
    paths = default_paths()
    info = daemon_info(paths)
    stats = _pool_stats()
    port = info.get("blob_port") if info and stats is not None else None
    workspace = paths.workspace or _git_top_level()
    return {
        "channel": "stable",
        "socket_path": str(info["endpoint"]) if info and "endpoint" in info else str(paths.socket),
        "installed": _service_file().exists(),
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


def _pool_stats() -> dict[str, Any] | None:
    try:
        stats: dict[str, Any] = dict(DaemonClient().status())
    except RuntimedError:
        return None
    counts = {key: stats.get(key, 0) for key in _COUNTS}
    return counts | {key: stats[key] for key in _OPTIONAL if stats.get(key) is not None}


def _service_file() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library/LaunchAgents/io.nteract.runtimed.plist"
    return config_root() / "systemd/user/runtimed.service"


def _notebooks_folder(paths: Paths) -> str | None:
    home = os.environ.get("HOME")
    if paths.workspace is not None:
        return str(paths.workspace / "notebooks")
    return str(Path(home) / "notebooks") if home else None


def _git_top_level() -> Path | None:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    text = found.stdout.strip()
    return Path(text) if found.returncode == 0 and text else None
