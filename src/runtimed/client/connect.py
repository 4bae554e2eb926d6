"""Finding the daemon, and starting one where none answers.

Plain blocking code without Trio, since quick commands use it too; programs on Trio run it in a
thread. Which daemon is meant is decided by the environment at the moment of the call.
"""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import orjson

from runtimed.errors import DaemonUnreachable
from runtimed.paths import Paths, default_paths

__all__ = [
    "CONNECT_TIMEOUT",
    "LOOK_AGAIN",
    "connect",
    "connect_nowait",
    "ensure_daemon",
    "is_nobody_there",
    "unreachable",
]

#: Seconds for the daemon to accept a connection; it does nothing before.
CONNECT_TIMEOUT = 2.0

#: Seconds for a daemon that was just started to answer.
_START_TIMEOUT = 20.0

#: Seconds to go on looking after the daemon we started has exited: another may have come up first.
_RACE_TIMEOUT = 3.0

#: Seconds that an ending daemon may still hold its lock, and between two attempts to follow it.
_DEPARTURE_TIMEOUT = 3.5
_SPAWN_PAUSE = 0.8

#: Seconds between two looks for a daemon that is starting, or too busy to take a connection.
LOOK_AGAIN = 0.01

_starting = threading.Lock()


def connect_nowait(paths: Paths) -> socket.socket:
    """Connect to the daemon's socket; local connections need no waiting.

    Returns: a non-blocking socket.
    Raises: BlockingIOError while too many others want the same: try again a little later. OSError.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(os.fspath(paths.socket))
    except BaseException:
        connection.close()
        raise
    return connection


def connect(paths: Paths) -> socket.socket:
    """Connect to the daemon's socket. Blocks, at most CONNECT_TIMEOUT.

    Raises: DaemonUnreachable.
    """
    give_up = time.monotonic() + CONNECT_TIMEOUT
    while True:
        try:
            return connect_nowait(paths)
        except BlockingIOError as error:
            if time.monotonic() >= give_up:
                raise DaemonUnreachable("Connection timeout") from error
            time.sleep(LOOK_AGAIN)
        except OSError as error:
            raise unreachable(paths, error) from error


def unreachable(paths: Paths, error: OSError) -> DaemonUnreachable:
    """The error for a socket that can't be connected to, saying what to do about it."""
    reason = error.strerror or str(error)
    place = f"socket {paths.socket}"
    if paths.explicit and is_nobody_there(error):
        place += (
            "; RUNTIMED_SOCKET_PATH is set, so none is started: "
            "run 'runtimed run' with the same variable"
        )
    return DaemonUnreachable(f"Failed to connect to daemon: {reason} ({place})")


def ensure_daemon(paths: Paths | None = None) -> Paths:
    """See to it that a daemon answers, starting one if need be. Blocks.

    A daemon whose socket was named explicitly is never started: whoever named it runs it.
    Raises: DaemonUnreachable.
    """
    paths = paths or default_paths()
    with _starting:  # threads of one process start one daemon, not several
        error = _try_connect(paths)
        if error is None:
            return paths
        if paths.explicit or not is_nobody_there(error):
            raise unreachable(paths, error)
        _start_daemon(paths)
    return paths


def _try_connect(paths: Paths) -> OSError | None:
    try:
        connect_nowait(paths).close()
    except BlockingIOError:
        return None  # busy, so alive
    except OSError as error:
        return error
    return None


def is_nobody_there(error: OSError) -> bool:
    """Whether a failed connection means that no daemon is running."""
    return error.errno in (errno.ENOENT, errno.ECONNREFUSED)


def _start_daemon(paths: Paths) -> None:
    process = _spawn_watched(paths)
    give_up = time.monotonic() + _START_TIMEOUT
    try_again: float | None = None  # set while ours has ended, perhaps since another held the lock
    while (error := _try_connect(paths)) is not None:
        now = time.monotonic()
        if try_again is None and process.returncode is not None:
            give_up = min(give_up, now + _DEPARTURE_TIMEOUT)
            try_again = now + _SPAWN_PAUSE
        if now >= give_up:
            if process.returncode is None:
                what = f"the daemon that was started (pid {process.pid}) does not answer"
            else:
                what = f"the daemon that was started ended with exit code {process.returncode}"
            raise DaemonUnreachable(
                f"Failed to connect to daemon: {what} (socket {paths.socket}, see {paths.log})"
            ) from error
        if try_again is not None and now >= try_again:
            process, try_again = _spawn_watched(paths), None
        time.sleep(LOOK_AGAIN)
    if _is_the_daemon(process, paths):
        print(
            f"runtimed: started a daemon (pid {process.pid}, log {paths.log})",
            file=sys.stderr,
            flush=True,
        )


def _spawn_watched(paths: Paths) -> subprocess.Popen[bytes]:
    process = _spawn(paths)
    # Reaps the daemon should it end before we do; holds nothing up when we end first.
    threading.Thread(target=process.wait, name="runtimed daemon watch", daemon=True).start()
    return process


def _is_the_daemon(process: subprocess.Popen[bytes], paths: Paths) -> bool:
    """Whether it is the process we started that answers, and not another that was quicker.

    Blocks for the moment until it has written its info file, or ended because of the other.
    """
    give_up = time.monotonic() + _RACE_TIMEOUT
    while process.returncode is None and time.monotonic() < give_up:
        try:
            if orjson.loads(paths.info.read_bytes())["pid"] == process.pid:
                return True
        except (OSError, ValueError, TypeError, KeyError):
            pass  # not written yet, or what an earlier daemon left
        time.sleep(LOOK_AGAIN)
    return False


def _spawn(paths: Paths) -> subprocess.Popen[bytes]:
    environ = dict(os.environ)
    if paths.workspace is not None:
        environ["RUNTIMED_WORKSPACE_PATH"] = str(paths.workspace)
    if search_path := environ.get("PYTHONPATH"):
        # The daemon works in its own folder, where relative entries would mean something else.
        entries = (str(Path(entry).absolute()) for entry in search_path.split(os.pathsep))
        environ["PYTHONPATH"] = os.pathsep.join(entries)
    try:
        paths.base.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DaemonUnreachable(
            f"Failed to connect to daemon: none is running, and none can be started: "
            f"{error.strerror} ({error.filename})"
        ) from error
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "runtimed", "run"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=paths.base,
            env=environ,
            start_new_session=True,
        )
    except OSError as error:
        raise DaemonUnreachable(
            f"Failed to connect to daemon: none is running, and {sys.executable} can't be run: "
            f"{error.strerror}"
        ) from error
    finally:
        os.close(log)
