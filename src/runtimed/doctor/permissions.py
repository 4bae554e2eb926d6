"""Files that others can read or reach: whoever reaches the socket can run code as this user."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site

__all__ = ["permissions"]


def permissions(site: Site) -> Iterator[Finding]:
    """Whatever of the daemon's is open to others; its folders 0700, its files 0600.

    Mended while a daemon runs, too: it goes on with the same files, closed to others.
    """
    paths = site.paths
    folders = [paths.base, paths.connections, paths.documents, paths.blobs, paths.envs]
    files = [paths.socket, paths.lock, paths.info, paths.kernel_registry, paths.settings]
    try:
        # Not the sockets beside them: kernels make those, and only the folder keeps others out.
        files += sorted(paths.connections.glob("*.json"))
    except OSError:
        pass
    closed = True
    for path in [*folders, *files]:
        try:
            status = path.lstat()
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            continue
        if status.st_uid != os.getuid():
            closed = False
            yield Finding(
                name="permissions",
                status="error",
                path=path,
                what=f"It belongs to another user ({status.st_uid})",
                why="The daemon can't rely on it, nor write there",
                remedy=f"Have it given to you, or move it away: sudo chown {os.getuid()} {path}",
            )
        elif mode & 0o077 and _matters(site, path):
            closed = False
            yield _open_to_others(path, mode, 0o700 if stat.S_ISDIR(status.st_mode) else 0o600)
    if closed:
        yield ok("permissions", "The daemon's files are closed to others", paths.base)


def _matters(site: Site, path: Path) -> bool:
    """Folders and files inside a closed base are out of others' reach, whatever their mode; only
    what people rely on by itself is looked at there."""
    paths = site.paths
    if path == paths.socket:
        return site.daemon.alive  # of no use to anybody else
    return path == paths.base or path.parent == paths.connections


def _open_to_others(path: Path, mode: int, wanted: int) -> Finding:
    def close() -> str:
        path.chmod(wanted)
        return f"Closed {path} to others (mode {wanted:04o})"

    return Finding(
        name="permissions",
        status="error",
        path=path,
        what=f"It is open to others (mode {mode:04o}, should be {wanted:04o})",
        why="Who reaches a daemon or its kernels can run code as you",
        remedy=f"chmod {wanted:04o} {path}",
        repair=close,
    )
