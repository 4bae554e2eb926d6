"""Finding the daemon, and starting one where none answers.

Where the daemon is installed as a service that is what is started, else a process of its own.
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
from typing import TYPE_CHECKING

from runtimed.errors import (
    DaemonUnreachable,
    NoServiceManager,
    ServiceFailed,
    StateDirectoryUnusable,
)
from runtimed.info_file import read_info_file
from runtimed.own_programs import own_program
from runtimed.paths import Paths, default_paths
from runtimed.state_folder import check_state_folder, open_log

if TYPE_CHECKING:
    from runtimed.service.installation import Service

__all__ = [
    "CONNECT_TIMEOUT",
    "LOOK_AGAIN",
    "connect",
    "connect_nowait",
    "ensure_daemon",
    "is_nobody_there",
    "start_service",
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

#: Seconds between two questions to a service manager about a service that is starting.
_ASK_AGAIN = 0.5

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


def ensure_daemon(
    paths: Paths | None = None,
    *,
    use_service: bool = True,
    start_named: bool = False,
    announce: bool = True,
) -> Paths:
    """See to it that a daemon answers, starting one if need be; where it answers. Blocks.

    announce: say on stderr that one was started.

    A daemon whose socket was named explicitly is started with `start_named` alone: who names a
    socket runs the daemon.
    Raises: DaemonUnreachable.
    """
    paths = paths or default_paths()
    with _starting:  # threads of one process start one daemon, not several
        # What an info file says comes first, and what is started listens in the usual place.
        for place in dict.fromkeys((paths, paths.own())):
            error = _try_connect(place)
            if error is None:
                return place
            if (paths.explicit and not start_named) or not is_nobody_there(error):
                raise unreachable(place, error)
        paths = paths.own()
        if not (use_service and _start_installed_service(paths)):
            _start_daemon(paths, announce=announce)
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


def start_service(service: Service, paths: Paths) -> None:
    """Start an installed service and wait until its daemon answers. Blocks.

    Raises: NoServiceManager; ServiceFailed saying where a person finds out more.
    """
    service.start()
    give_up = time.monotonic() + _START_TIMEOUT
    ask = time.monotonic() + _ASK_AGAIN
    while _try_connect(paths) is not None:
        now = time.monotonic()
        if now >= ask:
            if not service.state().active:
                raise ServiceFailed(f"the service ended at once, see '{service.remedy}'")
            ask = time.monotonic() + _ASK_AGAIN
        if now >= give_up:
            raise ServiceFailed(f"the service does not answer, see '{service.remedy}'")
        time.sleep(LOOK_AGAIN)


def _start_installed_service(paths: Paths) -> bool:
    """Start the daemon as a service; False where there is none, or it can't be used."""
    from runtimed.service.installation import installed_service

    service = installed_service(paths)
    if service is None:
        return False
    try:
        start_service(service, paths)
    except (NoServiceManager, ServiceFailed) as error:
        _say(f"the service can't be used, starting a daemon without it: {error}")
        return False
    _say(f"started the service (log {paths.log})")
    return True


def _say(text: str) -> None:
    print(f"runtimed: {text}", file=sys.stderr, flush=True)


def _start_daemon(paths: Paths, *, announce: bool) -> None:
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
    if announce and _is_the_daemon(process, paths):
        _say(f"started a daemon (pid {process.pid}, log {paths.log})")


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
        # It may not be written yet, or be what an earlier daemon left.
        if (read_info_file(paths.info) or {}).get("pid") == process.pid:
            return True
        time.sleep(LOOK_AGAIN)
    return False


def _spawn(paths: Paths) -> subprocess.Popen[bytes]:
    environ = dict(os.environ)
    if paths.explicit:  # it works in another folder, and may have been named by a flag
        environ["RUNTIMED_SOCKET_PATH"] = str(paths.socket)
    if paths.workspace is not None:
        environ["RUNTIMED_WORKSPACE_PATH"] = str(paths.workspace)
    if search_path := environ.get("PYTHONPATH"):
        # The daemon works in its own folder, where relative entries would mean something else.
        entries = (str(Path(entry).absolute()) for entry in search_path.split(os.pathsep))
        environ["PYTHONPATH"] = os.pathsep.join(entries)
    try:
        check_state_folder(paths)
        paths.base.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_state_folder(paths)  # somebody may have been quicker
        log = open_log(paths.log)
    except StateDirectoryUnusable as error:
        raise DaemonUnreachable(
            f"Failed to connect to daemon: none is running, and none can be started: {error}"
        ) from error
    except OSError as error:
        raise DaemonUnreachable(
            f"Failed to connect to daemon: none is running, and none can be started: "
            f"{error.strerror} ({error.filename})"
        ) from error
    try:
        return subprocess.Popen(
            own_program("runtimed", "run"),
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
