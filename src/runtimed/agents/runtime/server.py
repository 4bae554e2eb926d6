"""The runtime as a server: listens, lets in who may come, and ends in order."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from logging import Logger
from typing import Any

import attrs
import trio
from trio_websocket import wrap_server_stream

from runtimed.agents.runtime.access import Access
from runtimed.agents.runtime.blocked_loop import watch_loop
from runtimed.agents.runtime.connection import RuntimeConnection
from runtimed.agents.runtime.loading import as_handler
from runtimed.agents.runtime.logs import LOGGER
from runtimed.agents.runtime.settings import RuntimeSettings

__all__ = ["RuntimeUseServer"]

#: For the opening handshake. What speaks no WebSocket hangs until then.
_OPENING = 10.0
_RECEIVE = 1 << 16
_REASONS = {401: b"A token is needed\n", 403: b"This origin may not connect\n"}


class RuntimeUseServer:
    """Serves agents over WebSockets. Connections are independent of each other.

    Shape: `handler` is an object with `async def run(invocation, sender)`, or such a function.
    `settings` has everything that can be set; the keywords after it are the common ones, and
    overrule it. Units: seconds.
    """

    def __init__(
        self,
        handler: Any,
        port: int = 8080,
        host: str = "127.0.0.1",
        *,
        settings: RuntimeSettings | None = None,
        upload_timeout: float | None = None,
        artifact_wait: float | None = None,
        post_invocation_delay: float | None = None,
        heartbeat_interval: float | None = None,
        token: str | None = None,
        origins: Collection[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        logger: Logger | None = None,
    ) -> None:
        given = {
            "upload_timeout": upload_timeout,
            "artifact_wait": artifact_wait,
            "post_invocation_delay": post_invocation_delay,
            "heartbeat_interval": heartbeat_interval,
        }
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        self._handler = as_handler(handler)
        self._settings = attrs.evolve(settings or RuntimeSettings(), **changes)
        self._access = Access(token, origins)
        self._host = host
        self._ssl = ssl_context
        self._logger = logger or LOGGER
        self._connections: set[RuntimeConnection] = set()
        self._openings: set[trio.CancelScope] = set()
        self._stopping = trio.Event()
        self._stopped = trio.Event()
        #: The port that is listened on; the one that was asked for, until then.
        self.port = port

    async def serve(
        self, *, task_status: trio.TaskStatus[RuntimeUseServer] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve clients. Started with itself once it listens; returns after `stop`.

        Raises: OSError if the address cannot be listened on.
        """
        try:
            async with trio.open_nursery() as services:
                await services.start(watch_loop, self._logger)
                async with trio.open_nursery() as connections:
                    async with trio.open_nursery() as listening:
                        await self._listen(listening, connections)
                        task_status.started(self)
                        await self._stopping.wait()
                        listening.cancel_scope.cancel()
                    for scope in self._openings:
                        scope.cancel()
                    for connection in self._connections:
                        connection.shut_down()
                    # Each has a limit of its own; this is for one that does not keep it.
                    limit = self._settings.shutdown_wait + self._settings.cancel_grace
                    connections.cancel_scope.deadline = trio.current_time() + limit
                services.cancel_scope.cancel()
        finally:
            self._stopped.set()

    def ask_to_stop(self) -> None:
        """Begin to stop: requests in flight are aborted, uploads drained, sockets closed."""
        self._stopping.set()

    async def stop(self) -> None:
        """Stop, and wait until that is done."""
        self.ask_to_stop()
        await self._stopped.wait()

    async def _listen(self, listening: trio.Nursery, connections: trio.Nursery) -> None:
        sockets = await trio.open_tcp_listeners(self.port, host=self._host)
        self.port = sockets[0].socket.getsockname()[1]
        listeners: list[Any] = list(sockets)
        if self._ssl is not None:
            listeners = [
                trio.SSLListener(each, self._ssl, https_compatible=True) for each in sockets
            ]

        async def serve(*, task_status: trio.TaskStatus[Any]) -> None:
            await trio.serve_listeners(
                self._accept, listeners, handler_nursery=connections, task_status=task_status
            )

        await listening.start(serve)

    async def _accept(self, stream: trio.abc.Stream) -> None:
        """One connection. Whatever goes wrong with it ends nothing else."""
        try:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(_OPENING) as opening:
                    self._openings.add(opening)
                    try:
                        request = await wrap_server_stream(
                            nursery,
                            stream,
                            max_message_size=self._settings.max_message_bytes,
                            receive_buffer_size=_RECEIVE,
                        )
                        refused = self._access.refusal(request.path, request.headers)
                        if refused is not None:
                            await request.reject(refused, body=_REASONS[refused])
                        else:
                            websocket = await request.accept()
                    finally:
                        self._openings.discard(opening)
                if not opening.cancelled_caught and refused is None:
                    connection = RuntimeConnection(
                        websocket, self._handler, self._settings, logger=self._logger
                    )
                    self._connections.add(connection)
                    try:
                        await connection.run()
                    finally:
                        self._connections.discard(connection)
                nursery.cancel_scope.cancel()
        except Exception:
            self._logger.exception("A connection failed")
        finally:
            await trio.aclose_forcefully(stream)
