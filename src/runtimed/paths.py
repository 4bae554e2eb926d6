"""Where things lie on disk: the daemon's base directory, its socket, worktrees.

One rule ties them together: a daemon's state lies beside its socket. So a socket path alone finds
the info file, the log and the blobs, whichever way the path was given. Nothing here creates
anything.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from runtimed.errors import StateDirectoryUnusable
from runtimed.info_file import read_info_file

__all__ = [
    "MAX_SOCKET_PATH",
    "Paths",
    "cache_root",
    "config_root",
    "default_paths",
    "default_socket_path",
    "home_folder",
    "in_development",
    "own_paths",
    "paths_for_socket",
    "settings_folder",
    "user_base",
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
    def workspace_record(self) -> Path:
        """Which workspace the base is for; unlike the info file it outlives the daemon."""
        return self.base / "workspace.json"

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

    def own(self) -> Paths:
        """The same with the socket that a daemon started here would listen on, unless it was named
        explicitly."""
        return self if self.explicit else attrs.evolve(self, socket=_own_socket(self.base))


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache directory: $XDG_CACHE_HOME or ~/.cache; ~/Library/Caches on macOS."""
    return _user_root(environ, "XDG_CACHE_HOME", ".cache", "Library/Caches")


def config_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's configuration directory: $XDG_CONFIG_HOME or ~/.config; macOS has its own."""
    return _user_root(environ, "XDG_CONFIG_HOME", ".config", "Library/Application Support")


def settings_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `settings.json` lies. One for all daemons of a user, in development mode too."""
    return config_root(environ) / _CONFIG_NAMESPACE


def user_base(environ: Mapping[str, str] = os.environ) -> Path:
    """The base directory of the user's ordinary daemon; those of worktrees lie below it."""
    return cache_root(environ) / _NAMESPACE


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """$HOME, or what the system has on record for this user.

    Raises: StateDirectoryUnusable without either. A folder that all users share, such as /tmp, is
    no substitute: somebody else may have been there before.
    """
    if (home := environ.get("HOME", "")) and Path(home).is_absolute():
        return Path(home)
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise StateDirectoryUnusable(
            "No home folder is known for this user: set HOME to one that can be written"
        ) from None


def _user_root(environ: Mapping[str, str], variable: str, linux: str, macos: str) -> Path:
    if sys.platform == "darwin":
        return home_folder(environ) / macos
    # Its specification has a relative one ignored; the daemon and its clients work in various
    # folders, and would each see another.
    if (explicit := environ.get(variable, "")) and Path(explicit).is_absolute():
        return Path(explicit)
    return home_folder(environ) / linux


def worktree_hash(workspace: str | os.PathLike[str]) -> str:
    """Twelve hex digits that name a workspace: SHA-256 over the path's text."""
    return hashlib.sha256(os.fsencode(workspace)).hexdigest()[:12]


def in_development(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is development mode: RUNTIMED_DEV=1, or a workspace that is named."""
    return environ.get("RUNTIMED_DEV") == "1" or _named_workspace(environ) is not None


def _named_workspace(environ: Mapping[str, str]) -> Path | None:
    for variable in ("RUNTIMED_WORKSPACE_PATH", "CONDUCTOR_WORKSPACE_PATH"):
        if text := environ.get(variable, "").strip():
            return Path(text).resolve()
    return None


def workspace_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The workspace of development mode, canonical; None outside it.

    RUNTIMED_WORKSPACE_PATH wins over CONDUCTOR_WORKSPACE_PATH; with RUNTIMED_DEV=1 alone it is the
    git top level of the current directory.

    Raises: StateDirectoryUnusable in development mode without any workspace; sharing the ordinary
    daemon's state by accident would be worse.
    """
    if (named := _named_workspace(environ)) is not None:
        return named
    if not in_development(environ):
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
    """The daemon that this environment means, for those who talk to it.

    Order: RUNTIMED_SOCKET_PATH (trimmed, ignored when empty), then for the workspace of development
    mode or else the user's ordinary daemon: what its info file says, and without one the usual
    place. The info file may be that of a daemon that is long gone.
    """
    own = own_paths(environ)
    told = None if own.explicit else _told_socket(own.info)
    return own if told is None else attrs.evolve(own, socket=told)


def own_paths(environ: Mapping[str, str] = os.environ) -> Paths:
    """Where a daemon lies that is started in this environment, whatever runs there now."""
    if text := environ.get("RUNTIMED_SOCKET_PATH", "").strip():
        return paths_for_socket(Path(text))
    workspace = workspace_path(environ)
    base = user_base(environ)
    if workspace is not None:
        base = base / "worktrees" / worktree_hash(workspace)
    return Paths(base=base, socket=_own_socket(base), workspace=workspace)


def _own_socket(base: Path) -> Path:
    return base / "runtimed.sock"


def _told_socket(info: Path) -> Path | None:
    """The socket that an info file names: a daemon may have been given another with a flag."""
    endpoint = (read_info_file(info) or {}).get("endpoint")
    return Path(endpoint) if endpoint is not None and Path(endpoint).is_absolute() else None


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
