"""What a daemon is started with."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import attrs

from runtimed.errors import StateDirectoryUnusable
from runtimed.paths import MAX_SOCKET_PATH, Paths
from runtimed.state_folder import check_state_folder

__all__ = ["Config", "prepare_directories"]


@attrs.frozen
class Config:
    """Paths and sizes.

    `keep_alive` is how long a room stays without peers; None leaves it to the settings.
    `blob_grace` is how long a blob stays that nobody refers to.
    Units: both in seconds.
    """

    paths: Paths
    notebooks: Path
    envs: Path
    cached_envs: Path
    blobs: Path
    uv_pool_size: int = 3
    conda_pool_size: int = 3
    warm_kernels: int = 1
    keep_alive: float | None = None
    blob_grace: float = 3600.0

    @property
    def owns_blobs(self) -> bool:
        """Whether no other daemon can have blobs in the same folder: it is the one in our own base,
        which one daemon at a time has."""
        return self.blobs == self.paths.blobs.absolute() and not self.blobs.is_symlink()


def prepare_directories(config: Config) -> None:
    """Make the daemon's directories, private to this user from the first moment.

    Raises: StateDirectoryUnusable naming what stands in the way and the remedy.
    """
    paths = config.paths
    if len(os.fsencode(paths.socket)) > MAX_SOCKET_PATH:
        raise StateDirectoryUnusable(
            f"The socket path is longer than the {MAX_SOCKET_PATH} bytes a system allows: "
            f"{paths.socket}. Set RUNTIMED_SOCKET_PATH to a shorter one"
        )
    if paths.explicit and not paths.socket.parent.is_dir():
        raise StateDirectoryUnusable(
            f"The socket's directory does not exist: {paths.socket.parent}. Create it first"
        )
    check_state_folder(paths)
    for folder in (paths.base, config.envs, config.blobs, paths.documents, paths.connections):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.stat()
            if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
                folder.chmod(0o700)
        except OSError as error:
            raise StateDirectoryUnusable(
                f"The state directory {folder} can't be used: {error.strerror or error}. "
                "Make it writable, or set XDG_CACHE_HOME or RUNTIMED_SOCKET_PATH to another place"
            ) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StateDirectoryUnusable(
                f"The state directory {folder} is not writable. Make it writable, or set "
                "XDG_CACHE_HOME or RUNTIMED_SOCKET_PATH to another place"
            )
