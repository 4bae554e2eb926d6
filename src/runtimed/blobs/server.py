"""Blobs over HTTP/1.1 on 127.0.0.1, for browsers and other readers that don't share the disk.

What is answered is decided in `replies`; here are the socket, hypercorn's Trio worker, and the
reading of blobs piece by piece. Nothing can be written through it.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from runtimed.blobs.files import BlobMeta, read_blob, read_meta, read_piece
from runtimed.blobs.replies import (
    Reply,
    blob_reply,
    host_is_ours,
    not_allowed_reply,
    preflight_reply,
    requested_blob,
    text_reply,
)
from runtimed.blobs.store import BlobStore

if TYPE_CHECKING:
    from hypercorn.trio.worker_context import WorkerContext

__all__ = ["BlobServer"]

log = logging.getLogger(__name__)

_PIECE = 256 * 1024
_KEEP_ALIVE = 30.0
_GRACE = 0.5
_BACKLOG = 128

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ServeConnection = Callable[[trio.SocketStream], Awaitable[None]]


class BlobServer:
    """Serves the blobs of one store. `port` is known while it runs."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.port: int | None = None
        # Each use is one short read. Eight at once keep a disk busy and leave most of Trio's
        # threads to the rest of the daemon, however many images a page asks for.
        self._limiter = trio.CapacityLimiter(8)

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Started with the port, on which connections are accepted already.

        Cancelled, it takes no new connections and closes idle ones; those in the middle of a reply
        have half a second. Importing hypercorn takes 0.1 s and 5 MB, so it waits for the first
        connection: many daemons never get one, since local clients read the files.
        """
        with _listen() as listening:
            self.port = listening.getsockname()[1]
            task_status.started(self.port)
            try:
                await trio.lowlevel.wait_readable(listening)
                context, serve_connection = await trio.to_thread.run_sync(
                    _load_hypercorn, self._answer, abandon_on_cancel=True
                )
                await _serve(listening, context, serve_connection)
            finally:
                self.port = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        async with self._store.reading(requested_blob(scope["path"]) or ""):
            await self._send_reply(scope, send)

    async def _send_reply(self, scope: Scope, send: Send) -> None:
        reply, content = await self._reply(scope)
        start = {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        await send(start)
        if scope["method"] != "HEAD":
            position = reply.start
            while content is not None and position < reply.stop:
                piece = await content.piece(position, min(_PIECE, reply.stop - position))
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                position += len(piece)
        await send({"type": "http.response.body", "body": reply.text})

    async def _reply(self, scope: Scope) -> tuple[Reply, _Content | None]:
        method, path = scope["method"], scope["path"]
        asked: dict[bytes, bytes] = dict(scope["headers"])
        if self.port is None or not host_is_ours(asked.get(b"host"), self.port):
            return text_reply(403, b"Forbidden"), None
        if method == "OPTIONS":
            return preflight_reply(), None
        if method not in ("GET", "HEAD"):
            return not_allowed_reply(), None
        if path == "/health":
            return text_reply(200, b"OK"), None
        blob_hash = requested_blob(path)
        try:
            content = None if blob_hash is None else await self._find(blob_hash)
        except OSError as error:
            log.error("blob can't be read hash=%s error=%s", blob_hash, error)
            return text_reply(500, b"Internal Server Error"), None
        if content is None or blob_hash is None:
            return text_reply(404, b"Not Found"), None
        reply = blob_reply(blob_hash, content.size, content.media_type, method, asked)
        return reply, content

    async def _find(self, blob_hash: str) -> _Content | None:
        if (waiting := self._store.in_memory(blob_hash)) is not None:
            data, media_type = waiting
            return _InMemory(media_type, data)
        found = await trio.to_thread.run_sync(
            _look_up, self._store.root, blob_hash, limiter=self._limiter, abandon_on_cancel=True
        )
        if found is None:
            return None
        meta, small = found
        if small is not None:
            return _InMemory(meta.media_type, small)
        return _OnDisk(meta, partial(read_piece, self._store.root, blob_hash), self._limiter)


class _InMemory:
    """A blob that isn't on disk yet, or is read whole because it is small."""

    def __init__(self, media_type: str, data: bytes) -> None:
        self.media_type = media_type
        self.size = len(data)
        self._data = data

    async def piece(self, start: int, length: int) -> bytes:
        return self._data[start : start + length]


class _OnDisk:
    """A large blob, of which no more than a piece is in memory."""

    def __init__(
        self, meta: BlobMeta, read: Callable[[int, int], bytes], limiter: trio.CapacityLimiter
    ) -> None:
        self.media_type = meta.media_type
        self.size = meta.size
        self._read = read
        self._limiter = limiter

    async def piece(self, start: int, length: int) -> bytes:
        """Raises: OSError also when the file has become shorter; the reply then breaks off."""
        piece = await trio.to_thread.run_sync(
            self._read, start, length, limiter=self._limiter, abandon_on_cancel=True
        )
        if not piece:
            raise OSError("blob became shorter while it was sent")
        return piece


_Content = _InMemory | _OnDisk


def _look_up(root: Path, blob_hash: str) -> tuple[BlobMeta, bytes | None] | None:
    """In a thread: what a blob is, and its bytes too if they are one piece; None if not there."""
    meta = read_meta(root, blob_hash)
    if meta is None or meta.size > _PIECE:
        return None if meta is None else (meta, None)
    data = read_blob(root, blob_hash)
    return None if data is None else (meta, data)


def _listen() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.bind(("127.0.0.1", 0))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _load_hypercorn(
    answer: Callable[..., Awaitable[None]],
) -> tuple[WorkerContext, ServeConnection]:
    """In a thread, for it imports much: hypercorn's handler of one connection, and its context.

    The public `hypercorn.trio.serve` is no choice. It makes listening sockets inheritable, and a
    cancel can't end it while a client doesn't read: hypercorn shields its sends, so somebody must
    hold the streams to close them.
    """
    from hypercorn.app_wrappers import ASGIWrapper
    from hypercorn.config import Config
    from hypercorn.protocol.h11 import H11Protocol
    from hypercorn.trio.tcp_server import TCPServer
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import ConnectionState

    config = Config()
    config.accesslog = None
    config.errorlog = log  # else it makes a handler for stderr
    config.include_server_header = False
    config.keep_alive_timeout = _KEEP_ALIVE
    context = WorkerContext(None)
    app = ASGIWrapper(answer)

    class Connection(TCPServer):
        scope: trio.CancelScope

        async def _read_data(self) -> None:
            await super()._read_data()
            # The client has closed. HTTP/1.1 may still be sending a reply, and ends by itself once
            # its keep-alive timer, which would hold the socket open, is stopped. HTTP/2, offered
            # unasked, would wait for flow control that never comes.
            await self.idle_task.stop()
            if not isinstance(self.protocol.protocol, H11Protocol):
                self.scope.cancel()

    open_connection: Any = Connection  # whose annotations know of TLS streams only

    async def serve_connection(stream: trio.SocketStream) -> None:
        connection = open_connection(app, config, context, ConnectionState({}), stream)
        with trio.CancelScope() as connection.scope:
            await connection.run()

    return context, serve_connection


async def _serve(
    listening: socket.socket, context: WorkerContext, serve_connection: ServeConnection
) -> None:
    async with trio.open_nursery() as nursery:
        stopping = trio.Event()
        connections = await nursery.start(_hold_connections, stopping, context)
        try:
            await trio.serve_listeners(
                partial(_handle, serve_connection),
                [trio.SocketListener(trio.socket.from_stdlib_socket(listening))],
                handler_nursery=connections,
            )
        finally:
            stopping.set()


async def _hold_connections(
    stopping: trio.Event, context: WorkerContext, *, task_status: trio.TaskStatus[trio.Nursery]
) -> None:
    """Own the connections, for a while longer than the listener. Started with their nursery."""
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as connections:
            task_status.started(connections)
            await stopping.wait()
            await context.terminated.set()  # idle connections close, busy ones after their reply
            connections.cancel_scope.deadline = trio.current_time() + _GRACE


async def _handle(serve_connection: ServeConnection, stream: trio.SocketStream) -> None:
    """Serve one connection. What goes wrong with it ends with it."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_close_on_cancel, stream)
            await serve_connection(stream)
            nursery.cancel_scope.cancel()
    except Exception:
        log.exception("blob connection failed")


async def _close_on_cancel(stream: trio.SocketStream) -> None:
    # Closing is what ends hypercorn's shielded send to a client that doesn't read.
    try:
        await trio.sleep_forever()
    finally:
        stream.socket.close()
