"""Where things lie on disk: the daemon's base directory, its socket, worktrees.

One rule ties them together: a daemon's state lies beside its socket. So a socket path alone finds
the info file, the log and the blobs, whichever way the path was given. Nothing here creates
anything.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from runtimed.errors import StateDirectoryUnusable

__all__ = [
    "MAX_SOCKET_PATH",
    "Paths",
    "cache_root",
    "config_root",
    "default_paths",
    "default_socket_path",
    "paths_for_socket",
    "settings_folder",
    "workspace_path",
    "worktree_hash",
]

#: Bytes in a Unix socket path, the smaller of Linux (107) and macOS (103).
MAX_SOCKET_PATH = 103

_NAMESPACE = "runt"
_CONFIG_NAMESPACE = "nteract"


@attrs.frozen
class Paths:
    """The files and directories of one daemon.

    `explicit` says that the socket was named by RUNTIMED_SOCKET_PATH or a flag: a client then never
    starts a daemon on its own. `workspace` is set in development mode.
    """

    base: Path
    socket: Path
    explicit: bool = False
    workspace: Path | None = None

    @property
    def info(self) -> Path:
        return self.base / "daemon.json"

    @property
    def lock(self) -> Path:
        return self.base / "daemon.lock"

    @property
    def log(self) -> Path:
        return self.base / "runtimed.log"

    @property
    def kernel_registry(self) -> Path:
        return self.base / "kernels.json"

    @property
    def connections(self) -> Path:
        return self.base / "connections"

    @property
    def envs(self) -> Path:
        return self.base / "envs"

    @property
    def blobs(self) -> Path:
        return self.base / "blobs"

    @property
    def blob_marks(self) -> Path:
        return self.base / "blob-marks.json"

    @property
    def documents(self) -> Path:
        return self.base / "notebook-docs"

    @property
    def settings(self) -> Path:
        return self.base / "settings.automerge"


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache directory: $XDG_CACHE_HOME or ~/.cache; ~/Library/Caches on macOS."""
    return _user_root(environ, "XDG_CACHE_HOME", ".cache", "Library/Caches")


def config_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's configuration directory: $XDG_CONFIG_HOME or ~/.config; macOS has its own."""
    return _user_root(environ, "XDG_CONFIG_HOME", ".config", "Library/Application Support")


def settings_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `settings.json` lies. One for all daemons of a user, in development mode too."""
    return config_root(environ) / _CONFIG_NAMESPACE


def _user_root(environ: Mapping[str, str], variable: str, linux: str, macos: str) -> Path:
    if sys.platform == "darwin":
        home = environ.get("HOME")
        return Path(home) / macos if home else Path("/tmp")
    if explicit := environ.get(variable):
        return Path(explicit)
    home = environ.get("HOME")
    if home:
        return Path(home) / linux
    try:
        return Path.home() / linux
    except RuntimeError:
        return Path("/tmp")


def worktree_hash(workspace: str | os.PathLike[str]) -> str:
    """Twelve hex digits that name a workspace: SHA-256 over the path's text."""
    return hashlib.sha256(os.fsencode(workspace)).hexdigest()[:12]


def workspace_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The workspace of development mode, canonical; None outside it.

    RUNTIMED_WORKSPACE_PATH wins over CONDUCTOR_WORKSPACE_PATH; with RUNTIMED_DEV=1 alone it is the
    git top level of the current directory.

    Raises: StateDirectoryUnusable in development mode without any workspace; sharing the ordinary
    daemon's state by accident would be worse.
    """
    for variable in ("RUNTIMED_WORKSPACE_PATH", "CONDUCTOR_WORKSPACE_PATH"):
        if text := environ.get(variable, "").strip():
            return Path(text).resolve()
    if environ.get("RUNTIMED_DEV") != "1":
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--show-toplevel"], capture_output=True, check=False
        )
    except OSError:
        found = None
    top_level = b"" if found is None or found.returncode != 0 else found.stdout.strip()
    if not top_level:
        raise StateDirectoryUnusable(
            "RUNTIMED_DEV=1 is set, but the current folder is in no git repository: "
            "set RUNTIMED_WORKSPACE_PATH to the workspace"
        )
    return Path(os.fsdecode(top_level)).resolve()


def default_paths(environ: Mapping[str, str] = os.environ) -> Paths:
    """The daemon that this environment means.

    Order: RUNTIMED_SOCKET_PATH (trimmed, ignored when empty), the workspace of development mode,
    the user's ordinary daemon.
    """
    if text := environ.get("RUNTIMED_SOCKET_PATH", "").strip():
        return paths_for_socket(Path(text))
    workspace = workspace_path(environ)
    base = cache_root(environ) / _NAMESPACE
    if workspace is not None:
        base = base / "worktrees" / worktree_hash(workspace)
    return Paths(base=base, socket=base / "runtimed.sock", workspace=workspace)


def default_socket_path() -> Path:
    """The socket that Session and DaemonClient would use now. Connects to nothing."""
    return default_paths().socket


def paths_for_socket(socket: Path) -> Paths:
    """The paths of a daemon whose socket was named explicitly.

    State lies in the socket's folder where that is private to this user, else (a shared folder such
    as /tmp) in a private folder beside the socket, named after it: `<socket>.d`.
    """
    socket = Path(os.path.abspath(socket.expanduser()))  # noqa: PTH100 - resolve() follows links
    base = socket.parent if _is_private(socket.parent) else socket.with_name(socket.name + ".d")
    return Paths(base=base, socket=socket, explicit=True)


def _is_private(folder: Path) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077
