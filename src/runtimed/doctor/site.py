"""What the checks look at: one daemon's places, and whether there is a daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from runtimed.client.daemon_client import DaemonClient
from runtimed.daemon.lock_file import clear_holder, read_holder, write_holder
from runtimed.daemon.singleton import DaemonInfo, read_info
from runtimed.environments.cache_folders import default_cache_folder
from runtimed.environments.locks import try_lock
from runtimed.errors import DaemonSilent, DaemonUnreachable, RuntimedError
from runtimed.paths import Paths, cache_root, default_paths

__all__ = ["DaemonState", "Site", "alone", "is_held", "is_there", "look_at_daemon", "user_site"]

#: Seconds for the daemon to answer.
_ANSWER = 4.0

#: Seconds for each of the checks that read much.
_READING = 4.0


@attrs.frozen
class DaemonState:
    """Whether there is a daemon.

    alive: some process holds the daemon's lock, or listens and is silent. trouble: why it does not
    answer. info: what the info file says, of this daemon or one that has ended. locked_by: the
    process that the lock names, of one that is alive.
    """

    alive: bool
    trouble: RuntimedError | None
    info: DaemonInfo | None
    locked_by: int | None = None

    @property
    def answers(self) -> bool:
        return self.trouble is None

    @property
    def silent(self) -> DaemonSilent | None:
        return self.trouble if isinstance(self.trouble, DaemonSilent) else None

    @property
    def pid(self) -> int | None:
        """The process of a daemon that is alive, as far as it is known."""
        if not self.alive:
            return None
        told = self.silent.pid if self.silent is not None else None
        return told or self.locked_by or (self.info.pid if self.info else None)


@attrs.frozen(kw_only=True)
class Site:
    """The places of one daemon and its user. `reading`: seconds for a check that reads much."""

    paths: Paths
    environ: Mapping[str, str] = attrs.field(repr=False)
    cached_environments: Path
    daemon: DaemonState
    reading: float = _READING


def user_site(environ: Mapping[str, str] = os.environ) -> Site:
    """The site of the daemon that this environment means. Asks the daemon; creates nothing.

    Raises: StateDirectoryUnusable in development mode without a workspace.
    """
    paths = default_paths(environ)
    return Site(
        paths=paths,
        environ=environ,
        cached_environments=default_cache_folder(cache_root(environ)),
        daemon=look_at_daemon(paths),
    )


def is_there(path: Path) -> bool:
    """Whether something is at a path, as far as that can be told: not in a folder that is closed to
    us, nor where no path can lead."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def look_at_daemon(paths: Paths) -> DaemonState:
    """Ask the daemon whether it is there; the lock says the rest."""
    trouble: RuntimedError | None = None
    try:
        DaemonClient(paths.socket, timeout=_ANSWER).check()
    except RuntimedError as error:
        trouble = error
    except OSError as error:  # a path that can be no socket's, such as one that is too long
        trouble = DaemonUnreachable(str(error))
    silent = isinstance(trouble, DaemonSilent)
    # The lock is only asked for when no daemon answers: one that starts just then would see it.
    alive = trouble is None or silent or is_held(paths.lock)
    holder = read_holder(paths.lock) if alive else None
    if holder is not None and not holder.is_daemon:  # a command that keeps daemons from starting
        alive, holder = trouble is None or silent, None
    return DaemonState(
        alive, trouble, read_info(paths.info), holder.process.pid if holder else None
    )


def is_held(lock: Path) -> bool:
    """Whether some process holds a daemon's lock."""
    try:
        if not lock.exists():
            return False
        with try_lock(lock, shared=True) as free:
            return not free
    except OSError:  # not ours to look at
        return False


@contextmanager
def alone(paths: Paths) -> Iterator[bool]:
    """Keep every daemon from starting for the length of the block; false where one runs."""
    if not is_there(paths.base):
        yield True
        return
    with try_lock(paths.lock) as free:
        if not free:
            yield False
            return
        # What an earlier daemon left there would make this process look like one.
        descriptor = os.open(paths.lock, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with suppress(OSError):  # a full disk, perhaps; repairs may free some of it
                write_holder(descriptor, "runt daemon doctor --fix")
            yield True
        finally:
            clear_holder(descriptor)
            os.close(descriptor)
