"""Scripted runtimes: what a client talks to in tests, over a real WebSocket or in memory.

A script is an async function of a `Peer`. In memory the clock may jump, so that grace times cost
nothing; what concerns the socket is tested with one.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from math import inf
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

from runtimed.agents import QueryOptions, RuntimeUseClient
from runtimed.agents.client.transports import Message

__all__ = [
    "REQUESTS",
    "MemoryConnection",
    "MemoryPeer",
    "MemoryTransport",
    "Message",
    "Peer",
    "Runtime",
    "Script",
    "SocketPeer",
    "client_of",
    "confirm",
    "error",
    "heartbeat",
    "open_runtime",
    "options",
    "printed",
    "result",
    "results",
    "said",
    "saying",
    "until_cancelled",
    "upload",
]

Script = Callable[["Peer"], Awaitable[None]]

REQUESTS = ("invocation_message", "command_execution_message")


class Peer:
    """The runtime's end of a connection."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.gone = trio.Event()  # the client has hung up

    @property
    def kinds(self) -> list[str]:
        """The types of all that was heard."""
        return [message["message_type"] for message in self.heard]

    async def receive(self) -> Message | None:
        """The client's next message; None when it has hung up."""
        message = await self._receive()
        if message is None:
            self.gone.set()
        else:
            self.heard.append(message)
        return message

    async def expect(self, *kinds: str) -> Message:
        """The client's next message, which is of one of these types."""
        message = await self.receive()
        assert message is not None, f"the client hung up before {kinds}"
        assert message["message_type"] in kinds, message
        return message

    async def until_gone(self) -> None:
        """Read on until the client hangs up."""
        while await self.receive() is not None:
            pass

    async def _receive(self) -> Message | None:
        raise NotImplementedError

    async def send(self, *messages: Message) -> None:
        raise NotImplementedError

    async def hang_up(self) -> None:
        raise NotImplementedError


class SocketPeer(Peer):
    """A peer at a real WebSocket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        super().__init__()
        self.socket = socket

    async def _receive(self) -> Message | None:
        try:
            message: Message = json.loads(await self.socket.get_message())
        except ConnectionClosed:
            return None
        return message

    async def send(self, *messages: Message) -> None:
        for message in messages:
            await self.socket.send_message(json.dumps(message))

    async def hang_up(self) -> None:
        await self.socket.aclose()


class Runtime:
    """A server that plays a script for each connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.peers: list[SocketPeer] = []


@asynccontextmanager
async def open_runtime(script: Script) -> AsyncIterator[Runtime]:
    """Serve a script at a WebSocket of its own. On leaving, everybody has to be gone."""
    runtime = Runtime("")

    async def accept(request: WebSocketRequest) -> None:
        socket = await request.accept()
        peer = SocketPeer(socket)
        runtime.peers.append(peer)
        await script(peer)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            lambda task_status: serve_websocket(
                accept,
                "127.0.0.1",
                0,
                None,
                max_message_size=200 * 2**20,
                receive_buffer_size=None,
                task_status=task_status,
            )
        )
        runtime.url = f"ws://127.0.0.1:{server.port}"
        yield runtime
        with trio.fail_after(30):
            for peer in runtime.peers:
                await peer.socket._close_handshake.wait()
        nursery.cancel_scope.cancel()


class MemoryPeer(Peer):
    """A peer without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.to_client, self.from_runtime = trio.open_memory_channel[Message](inf)
        self.to_runtime, self.from_client = trio.open_memory_channel[Message](inf)

    async def _receive(self) -> Message | None:
        try:
            return await self.from_client.receive()
        except trio.EndOfChannel:
            return None

    async def send(self, *messages: Message) -> None:
        for message in messages:
            try:
                await self.to_client.send(message)
            except trio.BrokenResourceError:
                pass  # the client has hung up

    async def hang_up(self) -> None:
        self.to_client.close()


class MemoryConnection:
    """The client's end of a MemoryPeer, as a ConnectedTransport."""

    def __init__(self, peer: MemoryPeer, nursery: trio.Nursery) -> None:
        self._peer = peer
        self._nursery = nursery
        self.closed = False

    async def request(
        self, outgoing: trio.MemoryReceiveChannel[Message]
    ) -> AsyncGenerator[Message]:
        self._nursery.start_soon(self._forward, outgoing)
        async for message in self._peer.from_runtime:
            yield message

    async def _forward(self, outgoing: trio.MemoryReceiveChannel[Message]) -> None:
        async for message in outgoing:
            if self.closed:
                return
            # As a socket has it, what is not JSON does not get through.
            self._peer.to_runtime.send_nowait(json.loads(json.dumps(message)))

    async def end_session(
        self,
        on_message: Callable[[Message], Awaitable[Message | None]],
        timeout_s: float = 60,
    ) -> None:
        self._peer.to_runtime.send_nowait({"message_type": "end_session_message"})
        with trio.move_on_after(timeout_s):
            async for message in self._peer.from_runtime:
                if message["message_type"] == "end_session_confirm_message":
                    return
                if (answer := await on_message(message)) is not None:
                    self._peer.to_runtime.send_nowait(answer)

    async def close(self) -> None:
        self.closed = True
        self._peer.to_runtime.close()
        self._peer.from_runtime.close()
        await trio.lowlevel.checkpoint()


class MemoryTransport:
    """A transport that ends in a script, in this process and without a socket."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.peers: list[MemoryPeer] = []

    def has_heard(self) -> bool:
        """Whether a request has arrived."""
        return bool(self.peers and self.peers[0].heard)

    async def __call__(
        self, outgoing: trio.MemoryReceiveChannel[Message]
    ) -> AsyncGenerator[Message]:
        async with self.connect() as connection, aclosing(connection.request(outgoing)) as stream:
            async for message in stream:
                yield message

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[MemoryConnection]:
        from runtimed.agents.client.plain_trio import open_bare_nursery

        peer = MemoryPeer()
        self.peers.append(peer)
        async with open_bare_nursery() as nursery:
            nursery.start_soon(self._script, peer)
            connection = MemoryConnection(peer, nursery)
            try:
                yield connection
            finally:
                self.peers[-1].gone.set()
                await connection.close()


# What runtimes say


def result(text: str = "done", **metadata: Any) -> Message:
    data = {"type": "text", "text": text}
    return {"message_type": "result_message", "metadata": metadata, "data": data}


def results(*items: Message) -> Message:
    return {"message_type": "command_execution_result_message", "results": list(items)}


def error(text: str, **metadata: Any) -> Message:
    return {"message_type": "error_message", "error": text, "metadata": metadata}


def said(*blocks: str) -> Message:
    return {"message_type": "assistant_message", "text_blocks": list(blocks)}


def printed(text: str, command: str = "ls", stream: str = "stdout") -> Message:
    return {
        "message_type": "command_output_message",
        "stream": stream,
        "text": text,
        "command": command,
    }


def heartbeat() -> Message:
    return {"message_type": "heartbeat_message", "phase": "request_in_flight", "elapsed_ms": 15000}


def upload(path: str) -> Message:
    name = path.rpartition("/")[2]
    return {"message_type": "artifact_upload_request_message", "filename": name, "filepath": path}


def confirm() -> Message:
    return {"message_type": "end_session_confirm_message"}


# Clients of scripts


def client_of(script: Script) -> RuntimeUseClient:
    return RuntimeUseClient(transport=MemoryTransport(script))


def options(**more: Any) -> QueryOptions:
    return QueryOptions("be brief", "m", **more)


def saying(*messages: Message) -> Script:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(*messages)
        await peer.until_gone()

    return script


async def until_cancelled(peer: Peer) -> None:
    """A runtime that works until it is told to stop."""
    await peer.receive()
    await peer.expect("cancel_message")
    await peer.send(error("Request cancelled"))
    await peer.until_gone()
