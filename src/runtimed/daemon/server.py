"""The Unix socket and what happens to a connection on it: handshake, then its channel."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from runtimed.blobs.store import BlobStore
from runtimed.daemon.blob_channel import serve_blobs
from runtimed.daemon.greeting import Greeting
from runtimed.daemon.link import Link, PeerStalled
from runtimed.daemon.pool_channel import PoolService, serve_pool, serve_pool_state
from runtimed.daemon.settings_channel import serve_settings
from runtimed.errors import NothingSaid, RemoteProtocolError, StateDirectoryUnusable, leaves
from runtimed.protocol import events, handshake
from runtimed.settings.store import SettingsStore

__all__ = ["ConnectionHandler", "listening_socket", "serve_unix"]

log = logging.getLogger(__name__)

#: Seconds for preamble and handshake together.
_HANDSHAKE = 10.0

#: Connections that may wait to be accepted; a burst of clients must not be refused.
_BACKLOG = 1024

#: Ends of a connection that are nobody's fault.
_ORDINARY = (trio.BrokenResourceError, trio.ClosedResourceError, PeerStalled)


@contextmanager
def listening_socket(path: Path) -> Iterator[trio.SocketListener]:
    """A Unix socket that only this user can reach, from its first moment; removed at the end.

    The singleton lock is held, so a socket of ours that already lies there is stale.
    Raises: StateDirectoryUnusable for what is no socket, or another program's.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        umask = os.umask(0o177)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(umask)
        sock.listen(_BACKLOG)
        yield trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    finally:
        path.unlink(missing_ok=True)
        sock.close()


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens at, and nothing else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StateDirectoryUnusable(
            f"{path} is in the way: it is no socket. Move it, or name another RUNTIMED_SOCKET_PATH"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as looking:
        looking.setblocking(False)  # one whose queue is full is somebody's, too
        refused = looking.connect_ex(os.fspath(path)) in (errno.ECONNREFUSED, errno.ENOENT)
    if not refused:
        raise StateDirectoryUnusable(
            f"Another program listens at {path}: end it, or name another RUNTIMED_SOCKET_PATH"
        )
    path.unlink(missing_ok=True)


@attrs.frozen
class ConnectionHandler:
    """Serves one connection, whatever channel it picks. Its errors end it alone."""

    service: PoolService
    blobs: BlobStore
    greeting: Greeting
    settings: SettingsStore

    async def __call__(self, stream: trio.abc.Stream) -> None:
        link = Link(stream)
        try:
            async with stream:
                await self._serve(link)
        except Exception as error:
            if not all(isinstance(leaf, _ORDINARY) for leaf in leaves(error)):
                log.error("connection failed", exc_info=error)

    async def _serve(self, link: Link) -> None:
        try:
            with trio.move_on_after(_HANDSHAKE) as patience:
                hello = await link.next_event()
            if patience.cancelled_caught:
                raise RemoteProtocolError(f"handshake timeout ({_HANDSHAKE:g}s)")
            if not isinstance(hello, events.Closed):
                await self._serve_channel(link, hello)
        except RemoteProtocolError as error:
            level = logging.DEBUG if isinstance(error, NothingSaid) else logging.WARNING
            log.log(level, "connection dropped reason=%s", error)
            await link.say_farewell(error)

    async def _serve_channel(self, link: Link, hello: Any) -> None:
        if isinstance(hello, handshake.Pool):
            await serve_pool(link, self.service)
        elif isinstance(hello, handshake.PoolStateSubscribe):
            await serve_pool_state(link, self.service)
        elif isinstance(hello, handshake.Blob):
            await serve_blobs(link, self.blobs, self.greeting.blob_port)
        elif isinstance(hello, handshake.SettingsSync):
            await serve_settings(link, self.settings)
        else:
            # Here and not above: pings and listings need none of it, see `daemon.run`.
            from runtimed.daemon.notebook_channel import serve_notebook

            await self.settings.wait_loaded()
            await serve_notebook(link, hello, self.service.rooms, self.greeting)


async def serve_unix(
    listener: trio.SocketListener,
    handler: ConnectionHandler,
    *,
    task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept connections. Runs until cancelled, and its connections with it."""
    await trio.serve_listeners(handler, [listener], task_status=task_status)
