"""The daemon itself: whether it answers, what stands in its way, which version it is."""

from __future__ import annotations

import errno
import os
import socket as sockets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from runtimed import __version__
from runtimed.doctor.aside import move_aside
from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site, is_held, is_there
from runtimed.paths import MAX_SOCKET_PATH
from runtimed.processes import stat_fields

__all__ = ["daemon", "info_file", "socket_file", "socket_path", "version", "whose"]


def daemon(site: Site) -> Iterator[Finding]:
    """A daemon that is there and does not answer, or can't be reached."""
    state, socket = site.daemon, site.paths.socket
    if state.answers:
        yield ok("daemon", "The daemon answers", socket)
    elif state.silent is not None:
        pid = state.pid
        who = f"pid {pid}" if pid else "its process is unknown"
        if pid and _is_stopped(pid):
            why = "Its process is stopped, as by SIGSTOP or Ctrl-Z"
            remedy = f"kill -CONT {pid} lets it go on"
        else:
            why = "It hangs, or the machine is overloaded; 'runt logs' may say more"
            remedy = "'runt daemon restart' puts another in its place, and kills it if need be"
        what = f"The daemon takes connections and does not answer ({who})"
        yield Finding(name="daemon", status="error", path=socket, what=what, why=why, remedy=remedy)
    elif state.alive:
        yield Finding(
            name="daemon",
            status="error",
            path=socket,
            what=f"A daemon runs (pid {state.pid or 'unknown'}) that can't be reached",
            why=f"It holds {site.paths.lock.name}, but: {state.trouble}",
            remedy="If it has not just begun, 'runt daemon restart' puts another in its place",
        )
    else:
        yield ok("daemon", "No daemon runs; programs start one when they need it", socket)


def socket_file(site: Site) -> Iterator[Finding]:
    """What lies in the socket's place while no daemon runs.

    That is the daemon's own place, whatever an info file tells: one that is damaged may name any
    file, and nothing is done to that.
    """
    socket = site.paths.own().socket
    try:
        status = socket.lstat()
    except OSError:
        return
    if site.daemon.alive:
        return
    if not stat.S_ISSOCK(status.st_mode):

        def move() -> str:
            return f"Moved what was in the socket's place to {move_aside(socket)}"

        yield Finding(
            name="socket",
            status="warning",
            path=socket,
            what="What lies in the socket's place is no socket",
            why="A daemon can't listen there",
            remedy=f"Move {socket} away",
            repair=move,
            alone=True,
        )
        return
    trouble = _knock(socket)
    if isinstance(trouble, FileNotFoundError):
        return
    if isinstance(trouble, ConnectionRefusedError):

        def remove() -> str:
            # Somebody may listen there by now.
            if not isinstance(found := _knock(socket), ConnectionRefusedError):
                raise found or OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            socket.unlink(missing_ok=True)
            return "Removed stale socket file"

        yield Finding(
            name="socket",
            status="warning",
            path=socket,
            what="The socket is stale: nobody listens at it",
            why="A daemon ended without removing it, by SIGKILL or with the machine",
            remedy="The next daemon replaces it",
            repair=remove,
            alone=True,
        )
    elif not is_held(site.paths.lock):  # no daemon has come meanwhile
        yield Finding(
            name="socket-taken",
            status="error",
            path=socket,
            what="Another program listens at the daemon's socket"
            if trouble is None
            else f"Who listens at the daemon's socket can't be told: {trouble.strerror}",
            why="No daemon answers there, and what others use is left alone",
            remedy="End that program, or set RUNTIMED_SOCKET_PATH to another place",
        )


def _knock(path: Path) -> OSError | None:
    """Why nobody can be connected to at a socket; None where somebody listens."""
    with sockets.socket(sockets.AF_UNIX) as knocking:
        knocking.setblocking(False)
        try:
            knocking.connect(os.fspath(path))
        except BlockingIOError:  # somebody does, and is busy
            return None
        except OSError as error:
            return error
    return None


def info_file(site: Site) -> Iterator[Finding]:
    """An info file of a daemon that is gone, whoever has its process id now."""
    path, state = site.paths.info, site.daemon
    if state.alive:
        if state.answers and state.info is None:
            yield Finding(
                name="info-file",
                status="warning",
                path=path,
                what="The daemon runs, but its info file is missing or damaged",
                why="Programs that look for its blob server don't find it",
                remedy="'runt daemon restart' writes it anew",
            )
        return
    if not is_there(path):
        return

    def remove() -> str:
        path.unlink(missing_ok=True)
        return "Removed stale daemon.json"

    who = f"pid {state.info.pid}, {whose(state.info.pid)}" if state.info else "it is damaged"
    yield Finding(
        name="info-file",
        status="warning",
        path=path,
        what=f"The info file is stale ({who})",
        why="Its daemon ended without removing it, by SIGKILL or with the machine",
        remedy="The next daemon replaces it",
        repair=remove,
        alone=True,
    )


def socket_path(site: Site) -> Iterator[Finding]:
    """A path that no socket can have."""
    size = len(os.fsencode(site.paths.socket))
    if size > MAX_SOCKET_PATH:
        yield Finding(
            name="socket-path",
            status="error",
            path=site.paths.socket,
            what=f"The socket's path has {size} bytes, of {MAX_SOCKET_PATH} that are possible",
            why="No daemon can listen there",
            remedy="Set RUNTIMED_SOCKET_PATH to a shorter one, in a folder that is yours alone",
        )


def version(site: Site) -> Iterator[Finding]:
    """A daemon of another version than the installed package."""
    info = site.daemon.info
    if not site.daemon.answers or info is None:
        return
    if info.version == __version__:
        yield ok("version", f"The daemon is of the installed version, {__version__}")
        return
    yield Finding(
        name="version",
        status="warning",
        what=f"The daemon is of version {info.version}, installed is {__version__}",
        why="The package was changed while the daemon ran",
        remedy="'runt daemon restart' starts the installed one; kernels end, documents stay",
    )


def whose(pid: int) -> str:
    """What has become of a process id, for people. A zombie has ended."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "which is another user's process now"
    except (OSError, OverflowError):
        return "which is gone"
    return "which is gone" if _state(pid) in ("Z", "X") else "which is another process now"


def _is_stopped(pid: int) -> bool:
    return _state(pid) in ("T", "t")


def _state(pid: int) -> str:
    """The letter that Linux has for the state of a process; '' where it is not known."""
    fields = stat_fields(pid) if sys.platform == "linux" else None
    return fields[0] if fields else ""
