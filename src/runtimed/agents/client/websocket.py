"""The WebSocket to a runtime, as a transport.

trio-websocket stops reading, and so answers no pings, as long as one message has not been taken. So
each connection has a task that does nothing but take them.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from math import inf
from typing import Any
from urllib.parse import urlsplit

import attrs
import trio
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from runtimed.agents.client.failures import AgentConnectionLost, AgentUnreachable
from runtimed.agents.client.inbox import Inbox
from runtimed.agents.client.plain_trio import open_bare_nursery, take
from runtimed.agents.client.transports import Message
from runtimed.agents.messages import encode, parse_object
from runtimed.errors import RemoteProtocolError

__all__ = ["MAX_MESSAGE_SIZE", "ConnectedWebSocketTransport", "WebSocketTransport"]

log = logging.getLogger(__name__)

#: The largest message that is read, in bytes; requests tell the runtime.
MAX_MESSAGE_SIZE = 100 * 2**20

#: Seconds that a runtime is given to answer our close frame, with the result in our hands.
_CLOSE_GRACE = 1.0

#: Close codes of an end in order: normal, and none given.
_IN_ORDER = (1000, 1005)


class ConnectedWebSocketTransport:
    """An open WebSocket to a runtime. Its tasks live where it was opened."""

    def __init__(self, socket: WebSocketConnection, nursery: trio.Nursery) -> None:
        self._socket = socket
        self._nursery = nursery
        self._inbox = Inbox()
        self._sending = trio.Lock()  # held by one request's sender after another: none overtakes
        self._arrived = 0

    async def request(
        self, outgoing: trio.MemoryReceiveChannel[Message], /
    ) -> AsyncGenerator[Message]:
        """Generate the messages of the runtime while what is outgoing goes out.

        Ends when the runtime closes in order. Messages that are no JSON objects are left out.
        Raises: AgentConnectionLost.
        """
        self._nursery.start_soon(self._send, outgoing)
        while (text := await self._inbox.get()) is not None:
            try:
                message = parse_object(text)
            except RemoteProtocolError as error:
                log.warning("skipped a message of %d characters: %s", len(text), error)
            else:
                yield message

    async def end_session(
        self,
        on_message: Callable[[Message], Awaitable[Message | None]],
        timeout_s: float = 60,
    ) -> None:
        """Ask for the end of the session, and wait until the runtime has confirmed it or closed.

        What `on_message` gives for a message that comes meanwhile is sent as its answer.
        """
        send, outgoing = trio.open_memory_channel[Message](inf)
        send.send_nowait({"message_type": "end_session_message"})
        with send, trio.move_on_after(timeout_s) as limit:
            async with aclosing(self.request(outgoing)) as messages:
                async for message in messages:
                    if message.get("message_type") == "end_session_confirm_message":
                        return
                    answer = await on_message(message)
                    if answer is not None:
                        send.send_nowait(answer)
        if limit.cancelled_caught:
            log.warning("the runtime did not confirm the end of the session in %g s", timeout_s)

    async def close(self) -> None:
        """Close the connection, with code 1000. Nothing happens when it is closed."""
        with trio.move_on_after(_CLOSE_GRACE):
            await self._socket.aclose(1000)

    # The connection's tasks

    async def _send(self, outgoing: trio.MemoryReceiveChannel[Message]) -> None:
        """Send what a request has to say. Returns when its channel is closed and empty."""
        with outgoing:
            await take(self._sending)
            try:
                while True:
                    # What is there is taken without a turn of the loop: it is nearly always one.
                    try:
                        message = outgoing.receive_nowait()
                    except trio.WouldBlock:
                        message = await outgoing.receive()
                    await self._socket.send_message(encode(message))
            except (trio.EndOfChannel, ConnectionClosed):
                pass  # of which the reader has heard, too
            finally:
                self._sending.release()

    async def read(self) -> None:
        """Take messages from the socket. Returns when the connection has ended."""
        try:
            while True:
                message = await self._socket.get_message()
                self._arrived += 1
                await self._inbox.put(message)
        except ConnectionClosed as closed:
            self._inbox.end(_lost(closed.reason))

    async def keep_alive(self, interval: float, patience: float) -> None:
        """Ping now and then. Returns when no sign of life has come for too long, which ends the
        connection; runs until cancelled otherwise."""
        while True:
            await trio.sleep(interval)
            before = self._arrived
            answered = trio.Event()
            # A task of its own: what is sent in part must not be given up.
            self._nursery.start_soon(self._ping, answered)
            with trio.move_on_after(patience):
                await answered.wait()
                continue
            if self._arrived == before and not self._inbox.is_full:
                self._inbox.end(AgentConnectionLost(1006, f"no answer to a ping in {patience:g} s"))
                return

    async def _ping(self, answered: trio.Event) -> None:
        try:
            await self._socket.ping()
        except ConnectionClosed:
            pass
        answered.set()


def _lost(reason: CloseReason | None) -> AgentConnectionLost | None:
    if reason is None:
        return AgentConnectionLost(1006, None)
    return None if reason.code in _IN_ORDER else AgentConnectionLost(reason.code, reason.reason)


class _Handshake:
    """What trio-websocket needs of a nursery while it connects.

    Its reader task may raise, and when the peer hangs up during the handshake it just ends, and
    nobody would hear of it.
    """

    def __init__(self, nursery: trio.Nursery, opening: trio.CancelScope) -> None:
        self._nursery = nursery
        self._opening = opening
        self.ended = False
        self.error: Exception | None = None

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        self._nursery.start_soon(self._run, reader)

    async def _run(self, reader: Callable[[], Awaitable[None]]) -> None:
        try:
            await reader()
        except Exception as error:  # a refusal, or whatever a strange peer made wsproto raise
            self.error = error
            log.debug("the reader of a WebSocket ended: %r", error)
        self.ended = True
        self._opening.cancel()

    def failure(self, url: str, limit: float) -> OSError:
        """Why there was no handshake."""
        if isinstance(self.error, ConnectionRejected):
            return AgentUnreachable(f"{url} refused the WebSocket: HTTP {self.error.status_code}")
        if self.ended:
            return AgentUnreachable(f"{url} is no WebSocket: it closed during the handshake")
        return TimeoutError(f"{url} did not take the connection in {limit:g} s")


@attrs.frozen
class WebSocketTransport:
    """Reaches a runtime at a `ws:` or `wss:` URL.

    Units: seconds. `ping_patience` is how long a runtime may show no sign of life after a ping.
    """

    ws_url: str = attrs.field()
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, kw_only=True)
    connect_timeout: float = attrs.field(default=60.0, kw_only=True)
    ping_interval: float = attrs.field(default=20.0, kw_only=True)
    #: Longer than the 20 s of the reference: some runtimes stand still while they unpack a file.
    ping_patience: float = attrs.field(default=60.0, kw_only=True)

    @ws_url.validator
    def _check_url(self, _: attrs.Attribute[str], value: object) -> None:
        if not isinstance(value, str):
            raise ValueError(f"ws_url must be a string, not {type(value).__name__}")
        parts = urlsplit(value)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"ws_url must be ws://host or wss://host, not {self._shown!r}")
        parts.port  # noqa: B018 - raises when it is no number

    async def __call__(
        self, outgoing: trio.MemoryReceiveChannel[Message], /
    ) -> AsyncGenerator[Message]:
        """Generate the messages of the runtime for one request, on a connection of its own."""
        async with self.connect() as connected, aclosing(connected.request(outgoing)) as messages:
            async for message in messages:
                yield message

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ConnectedWebSocketTransport]:
        """Open a connection, which is closed with the context.

        Raises: OSError if there is none to be had.
        """
        async with open_bare_nursery() as nursery:
            deadline = trio.current_time() + self.connect_timeout
            with trio.CancelScope(deadline=deadline) as opening:
                stream = await self._open_stream()
            if opening.cancelled_caught:
                raise TimeoutError(f"{self._shown} cannot be reached in {self.connect_timeout:g} s")
            try:
                socket = await self._shake_hands(nursery, stream, deadline)
                connected = ConnectedWebSocketTransport(socket, nursery)
                nursery.start_soon(connected.read)
                nursery.start_soon(connected.keep_alive, self.ping_interval, self.ping_patience)
                try:
                    yield connected
                finally:
                    await connected.close()
            finally:
                await trio.aclose_forcefully(stream)

    @property
    def _shown(self) -> str:
        """The URL for messages: its query may hold a token."""
        return self.ws_url.partition("?")[0]

    async def _open_stream(self) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
        parts = urlsplit(self.ws_url)
        host = parts.hostname or ""
        if parts.scheme == "ws":
            return await trio.open_tcp_stream(host, parts.port or 80)
        context = self.ssl_context or ssl.create_default_context()
        stream = await trio.open_ssl_over_tcp_stream(
            host, parts.port or 443, https_compatible=True, ssl_context=context
        )
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            # Not left to the first message: its failure would not say what is wrong.
            await trio.aclose_forcefully(stream)
            raise AgentUnreachable(f"{self._shown} and TLS: {error.__cause__ or error}") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _shake_hands(
        self,
        nursery: trio.Nursery,
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream],
        deadline: float,
    ) -> WebSocketConnection:
        parts = urlsplit(self.ws_url)
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with trio.CancelScope(deadline=deadline) as opening:
            handshake: Any = _Handshake(nursery, opening)
            return await wrap_client_stream(
                handshake,
                stream,
                parts.netloc.rpartition("@")[2],
                resource,
                max_message_size=MAX_MESSAGE_SIZE,
                receive_buffer_size=None,
            )
        raise handshake.failure(self._shown, self.connect_timeout)
