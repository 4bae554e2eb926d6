"""The daemon as a process: what its info file says, whether it lives, how it is started and ended.

A daemon holds its lock file as long as it lives, whatever became of its socket. So the lock, and
not a process id that may have been given to somebody else, says whether there is one. A signal goes
only to the very process that the lock file describes.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import click

from runt_cli.failure import DAEMON_NOT_RUNNING, Fail
from runtimed.client.daemon_client import DaemonClient
from runtimed.errors import RuntimedError
from runtimed.info_file import read_info_file
from runtimed.paths import Paths

if TYPE_CHECKING:
    from runtimed.daemon.lock_file import LockHolder

__all__ = [
    "STOP_LIMIT",
    "daemon_info",
    "daemon_pid",
    "is_alive",
    "not_running",
    "start_daemon",
    "stop_daemon",
    "wait_ready",
]

#: How long a daemon may take to stop its kernels and end, in seconds. Its own limit is 5; a service
#: manager allows as much.
STOP_LIMIT = 20.0

#: How long a daemon may take from listening to answering, in seconds.
_READY_LIMIT = 20.0


def daemon_info(paths: Paths) -> dict[str, Any] | None:
    """What the info file says, also when its daemon is long gone; None without a readable one."""
    return read_info_file(paths.info)


def is_alive(paths: Paths) -> bool:
    """Whether a daemon, as far as is known, holds the daemon's lock. Creates nothing."""
    try:
        lock = os.open(paths.lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, for an instant, and only after a daemon failed to answer: one that starts at this
        # very moment would take us for another daemon.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(paths)
        return holder is None or holder.is_daemon  # not a command that keeps daemons away
    finally:
        os.close(lock)
    return False


def daemon_pid(paths: Paths) -> int | None:
    """The process id of the daemon that lives, for people to read: what the lock says, else the
    info file.

    Call it when `is_alive`: without a daemon both files tell of one that is gone.
    """
    holder = _holder(paths)
    if holder is not None and holder.is_daemon:
        return holder.process.pid
    pid: int | None = (daemon_info(paths) or {}).get("pid")
    return pid


def _holder(paths: Paths) -> LockHolder | None:
    from runtimed.daemon.lock_file import read_holder

    return read_holder(paths.lock)


@attrs.frozen
class _Process:
    """The process that holds the lock as a daemon, and is known to be that one.

    `descriptor` names this process alone, where the system has such things.
    """

    paths: Paths
    holder: LockHolder
    descriptor: int | None

    @property
    def pid(self) -> int:
        return self.holder.process.pid

    def send(self, number: signal.Signals) -> None:
        """Signal it, and nobody who got its id after it. Raises: Fail."""
        try:
            if self.descriptor is not None:
                signal.pidfd_send_signal(self.descriptor, number)
            elif _holder(self.paths) == self.holder:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise Fail(f"The daemon (pid {self.pid}) belongs to another user") from error


@contextmanager
def _daemon_process(paths: Paths) -> Iterator[_Process | None]:
    """The process of a daemon that lives; None where none does, or nothing tells it for sure."""
    holder = _holder(paths)
    if holder is None or not holder.is_daemon:
        yield None
        return
    try:
        descriptor = os.pidfd_open(holder.process.pid)
    except (AttributeError, OSError):
        descriptor = None
    try:
        # Asked again, since the id may have changed hands before it was opened.
        same = is_alive(paths) and _holder(paths) == holder
        yield _Process(paths, holder, descriptor) if same else None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def start_daemon(paths: Paths) -> int:
    """See to it that a daemon answers, one without a service; its process id.

    Being asked for a daemon, this starts one at an explicitly named socket too.

    Raises: DaemonUnreachable when it does not come up.
    """
    from runtimed.client.connect import ensure_daemon

    paths = ensure_daemon(paths, use_service=False, start_named=True, announce=False)
    return wait_ready(paths)


def wait_ready(paths: Paths) -> int:
    """Wait until a daemon that takes connections also answers; its process id.

    Raises: Fail.
    """
    # The socket listens first; answering, and the info file, come a moment later.
    deadline = time.monotonic() + _READY_LIMIT
    while True:
        pid: int | None = (daemon_info(paths) or {}).get("pid")
        if pid is not None and DaemonClient(paths.socket).ping():
            return pid
        if time.monotonic() > deadline:
            raise Fail(f"The daemon was started and does not answer, see {paths.log}")
        time.sleep(0.01)


def stop_daemon(paths: Paths) -> int | None:
    """Ask the daemon to end and wait until its process has gone; its id, None when none ran.

    A daemon that lives but does not answer gets SIGTERM; one that is still there after STOP_LIMIT
    is killed, as service managers do it, and a note says so. Its kernels notice, and end.

    Raises: Fail when it is still there then.
    """
    with _daemon_process(paths) as process:
        if not _is_asked_to_end(paths):
            if not is_alive(paths):
                return None
            if process is None:
                raise Fail(
                    f"The daemon does not answer, and {paths.lock} does not name its process: "
                    "end it yourself"
                )
            process.send(signal.SIGTERM)
        if _wait_gone(paths, process, STOP_LIMIT):
            return process.pid if process else 0
        if process is not None:
            click.echo(
                f"The daemon (pid {process.pid}) has not ended within {STOP_LIMIT:.0f} seconds: "
                "it is killed. Its documents are kept.",
                err=True,
            )
            process.send(signal.SIGKILL)
            if _wait_gone(paths, process, STOP_LIMIT):
                return process.pid
    if process is None:
        raise Fail(f"The daemon does not end, and {paths.lock} does not name its process")
    raise Fail(f"The daemon (pid {process.pid}) does not end, not even when it is killed")


def _is_asked_to_end(paths: Paths) -> bool:
    client = DaemonClient(paths.socket)
    # A ping is given up sooner than other questions: one that hangs is not waited for.
    if not client.ping():
        return False
    try:
        client.shutdown()
    except RuntimedError:
        return False
    return True


def _wait_gone(paths: Paths, process: _Process | None, limit: float) -> bool:
    """Wait until a daemon's process has ended; False when the limit, in seconds, came first."""
    if process is not None and process.descriptor is not None:
        poll = select.poll()
        poll.register(process.descriptor, select.POLLIN)
        return bool(poll.poll(limit * 1000))
    deadline = time.monotonic() + limit
    while is_alive(paths):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def not_running() -> Fail:
    """The Fail of a command that needs a running daemon and found none."""
    return Fail("Daemon not running.", DAEMON_NOT_RUNNING)
