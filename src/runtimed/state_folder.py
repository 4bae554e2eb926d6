"""Whether a daemon's state folder is safe to use: what lies in it is believed, and run by."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from runtimed.errors import StateDirectoryUnusable
from runtimed.paths import Paths

__all__ = ["check_state_folder", "open_log"]


def check_state_folder(paths: Paths) -> None:
    """See that nobody else can have put anything into the state folder, if there is one.

    A folder beside a socket lies where others may write, so it is held to more than one of the
    user's own: it is no link at all, and no group may write to it. Root is held to the same.
    Raises: StateDirectoryUnusable with the remedy.
    """
    base = paths.base
    shared = paths.explicit and base != paths.socket.parent
    remedy = "Set RUNTIMED_SOCKET_PATH" if paths.explicit else "Set XDG_CACHE_HOME"
    remedy += " to a place of your own"
    try:
        link = base.lstat()
        status = base.stat()
    except FileNotFoundError:
        if base.is_symlink():
            raise StateDirectoryUnusable(
                f"The state directory {base} is a link to nothing. Remove it"
            ) from None
        return
    except OSError as error:
        raise StateDirectoryUnusable(
            f"The state directory {base} can't be used: {error.strerror or error}. {remedy}"
        ) from error
    if not os.getuid() == link.st_uid == status.st_uid:
        raise StateDirectoryUnusable(
            f"The state directory {base} belongs to another user. {remedy}"
        )
    if shared and stat.S_ISLNK(link.st_mode):
        raise StateDirectoryUnusable(f"The state directory {base} is a link. Remove it")
    if not stat.S_ISDIR(status.st_mode):
        raise StateDirectoryUnusable(f"The state directory {base} is no folder. Remove it")
    if stat.S_IMODE(status.st_mode) & (0o022 if shared else 0o002):
        raise StateDirectoryUnusable(
            f"Other users can write to the state directory {base}. See what is in it, then remove "
            f"it or 'chmod 700' it"
        )


def open_log(path: Path) -> int:
    """Open the log of a daemon to be started, for it to add to; a plain file of this user's.

    Raises: StateDirectoryUnusable with the remedy; OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        if path.is_symlink():
            raise StateDirectoryUnusable(f"The log {path} is a link. Remove it") from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        os.close(descriptor)
        raise StateDirectoryUnusable(f"The log {path} is no file of yours. Remove it")
    os.set_blocking(descriptor, True)
    return descriptor
