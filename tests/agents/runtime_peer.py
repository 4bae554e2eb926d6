"""A runtime in the test's own loop, and a client that says exactly what a test wants it to say."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from runtimed.agents.runtime.server import RuntimeUseServer
from runtimed.agents.runtime.settings import RuntimeSettings
from waiting import LIMIT

__all__ = [
    "TERMINALS",
    "Peer",
    "connected",
    "execution",
    "invocation",
    "peer_of",
    "refused_with",
    "serving",
]

TERMINALS = ("result_message", "command_execution_result_message", "error_message")

#: Times are short where a test would wait for them, and long where it must not depend on them.
QUICK = RuntimeSettings(post_invocation_delay=1.0, flush_wait=LIMIT, artifact_wait=LIMIT)


def invocation(prompt: str = "hello", **fields: Any) -> dict[str, Any]:
    return {
        "message_type": "invocation_message",
        "system_prompt": "s",
        "user_prompt": prompt,
        "model": "m",
        "secrets_to_redact": [],
        "artifacts_dirs": None,
        **fields,
    }


def execution(*commands: Any, **fields: Any) -> dict[str, Any]:
    return {
        "message_type": "command_execution_message",
        "secrets_to_redact": [],
        "artifacts_dirs": None,
        "commands": [{"command": each} if isinstance(each, str) else each for each in commands],
        **fields,
    }


@attrs.define
class Peer:
    """A client on the wire."""

    websocket: WebSocketConnection

    async def send(self, message: Any) -> None:
        await self.websocket.send_message(
            message if isinstance(message, (str, bytes)) else json.dumps(message)
        )

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.websocket.get_message())
        return message

    async def receive_until(self, *kinds: str) -> list[dict[str, Any]]:
        """What comes up to the first message of one of these types, which is the last."""
        found = []
        while True:
            found.append(await self.receive())
            if found[-1]["message_type"] in kinds:
                return found

    async def ask(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a request; all that comes up to its terminal."""
        await self.send(message)
        return await self.receive_until(*TERMINALS)

    async def rest(self) -> list[dict[str, Any]]:
        """What comes until the runtime closes."""
        found = []
        try:
            while True:
                found.append(await self.receive())
        except ConnectionClosed:
            return found


@asynccontextmanager
async def serving(
    handler: Any = None, settings: RuntimeSettings = QUICK, **options: Any
) -> AsyncIterator[RuntimeUseServer]:
    """A runtime, stopped when the block is left."""
    if handler is None:
        from runtimed.agents.handlers.echo import Echo

        handler = Echo()
    server = RuntimeUseServer(handler, 0, settings=settings, **options)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(4 * LIMIT):
            await nursery.start(server.serve)
            yield server
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def peer_of(
    server: RuntimeUseServer,
    path: str = "/",
    *,
    tls: ssl.SSLContext | None = None,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> AsyncIterator[Peer]:
    """A client of this server. Its stream is its own: the library leaves it open when the other
    side closes."""
    stream: Any = await trio.open_tcp_stream("127.0.0.1", server.port)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="127.0.0.1", https_compatible=True)
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                websocket = await wrap_client_stream(
                    nursery,
                    stream,
                    "127.0.0.1",
                    path,
                    extra_headers=headers,
                    max_message_size=1 << 27,
                )
                yield Peer(websocket)
                with trio.move_on_after(LIMIT):
                    await websocket.aclose()
            except BaseException as raised:
                error = raised
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error
    finally:
        await trio.aclose_forcefully(stream)


async def refused_with(
    server: RuntimeUseServer, path: str = "/", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> bytes:
    """The first line with which a server answers an opening handshake."""
    named = b"".join(b"%s: %s\r\n" % each for each in headers)
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    async with stream:
        await stream.send_all(
            b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n" % path.encode()
            + b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n%s\r\n" % named
        )
        return bytes(await stream.receive_some()).partition(b"\r\n")[0]


@asynccontextmanager
async def connected(
    handler: Any = None, settings: RuntimeSettings = QUICK, **options: Any
) -> AsyncIterator[Peer]:
    """A runtime with one client."""
    async with serving(handler, settings, **options) as server, peer_of(server) as peer:
        yield peer
