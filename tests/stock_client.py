"""A client of protocol 2 and schema 2 as others write it: none of our additions, none of our code.

No request ids, no heads, no presence. One task, one request outstanding, frames taken one at a
time; a document that starts empty; a wait of 100 ms for silence where the first sync ends, but not
before there is a document; rounds of two seconds until the daemon has all edits.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import trio
from automerge.core import ROOT, Document, Message, ObjType, ScalarType, SyncState, Transaction

__all__ = ["StockClient", "read_blob", "stock_client"]

PREAMBLE = bytes.fromhex("c0de01ac02")
SYNC, REQUEST, RESPONSE, BROADCAST, PRESENCE = range(5)


def framed(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


class StockClient:
    """One connection to a notebook."""

    def __init__(self, stream: trio.abc.Stream, actor: str = "human:stock") -> None:
        self.stream = stream
        self.reply: dict[str, Any] = {}
        self.doc = Document(actor.encode())
        self.sync_state = SyncState()
        self.daemon_heads: set[bytes] = set()
        self.broadcasts: list[dict[str, Any]] = []
        self.order: list[str] = []
        """What came, in its order: sync, the names of broadcasts."""
        self._buffer = b""

    # Frames

    async def frame(self) -> bytes:
        """The next frame. Raises: EOFError."""
        await self._fill(4)
        [size] = struct.unpack(">I", self._buffer[:4])
        await self._fill(4 + size)
        payload, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
        return payload

    async def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            # What has come stays in the buffer when a time limit ends the wait.
            data = await self.stream.receive_some(65_536)
            if not data:
                raise EOFError
            self._buffer += data

    async def send(self, kind: int, body: bytes) -> None:
        await self.stream.send_all(framed(bytes([kind]) + body))

    # Opening

    async def open(self, **handshake: Any) -> dict[str, Any]:
        """Preamble, handshake, reply, first sync."""
        await self.stream.send_all(PREAMBLE)
        await self.stream.send_all(framed(json.dumps(handshake).encode()))
        self.reply = json.loads(await self.frame())
        if "error" in self.reply:
            raise RuntimeError(self.reply["error"])
        first = await self.frame()
        if first[0] != SYNC:
            raise RuntimeError(f"Expected AutomergeSync frame, got {first[0]}")
        self._take_sync(first[1:])
        await self.send_sync()
        while True:
            with trio.move_on_after(0.1) as silence:
                frame = await self.frame()
            if not silence.cancelled_caught:
                await self._take(frame)  # presence is dropped here, broadcasts are kept
            elif self.doc.get_heads():
                return self.reply

    async def _take(self, frame: bytes) -> dict[str, Any] | None:
        """Take a frame in; a response is given back."""
        kind, body = frame[0], frame[1:]
        if kind == SYNC:
            self._take_sync(body)
            await self.send_sync()
        elif kind == BROADCAST:
            broadcast = json.loads(body)
            self.broadcasts.append(broadcast)
            self.order.append(broadcast["event"])
        elif kind == RESPONSE:
            return json.loads(body)  # type: ignore[no-any-return]
        return None

    # Document

    def _take_sync(self, body: bytes) -> None:
        self.order.append("sync")
        # A type byte, the number of heads, and the heads: what the daemon says it has.
        self.daemon_heads = {body[at : at + 32] for at in range(2, 2 + 32 * body[1], 32)}
        self.doc.receive_sync_message(self.sync_state, Message.decode(body))

    async def send_sync(self) -> None:
        """Say what is new, unless an answer to what was said before is still to be read."""
        message = self.doc.generate_sync_message(self.sync_state)
        if message is not None:
            await self.send(SYNC, message.encode())

    async def confirm(self) -> None:
        """See that the daemon has all edits."""
        with trio.fail_after(30):
            while True:
                await self.send_sync()
                if set(self.doc.get_heads()) <= self.daemon_heads:
                    return
                with trio.move_on_after(2):
                    await self._take(await self.frame())

    def _cells(self) -> bytes:
        found = self.doc.get(ROOT, "cells")
        assert found is not None
        return found[1]

    def cell_ids(self) -> list[str]:
        """The ids of the cells in their order."""
        cells = self._cells()
        return sorted(self.doc.keys(cells), key=lambda cell: (self.text(cell, "position"), cell))

    def _part(self, cell_id: str, key: str) -> bytes:
        cell = self.doc.get(self._cells(), cell_id)
        assert cell is not None
        found = self.doc.get(cell[1], key)
        assert found is not None
        return found[1]

    def text(self, cell_id: str, key: str) -> str:
        cell = self.doc.get(self._cells(), cell_id)
        assert cell is not None
        found = self.doc.get(cell[1], key)
        assert found is not None
        kind, value = found[0]  # type: ignore[misc]
        assert kind == ScalarType.Str
        return str(value)

    def source(self, cell_id: str) -> str:
        return self.doc.text(self._part(cell_id, "source"))

    def outputs(self, cell_id: str) -> list[str]:
        outputs = self._part(cell_id, "outputs")
        found = [self.doc.get(outputs, at) for at in range(self.doc.length(outputs))]
        return [str(value[0][1]) for value in found if value is not None]  # type: ignore[index]

    def add_cell(self, cell_id: str, source: str, position: str, cell_type: str = "code") -> None:
        def add(t: Transaction) -> None:
            cell = t.put_object(self._cells(), cell_id, ObjType.Map)
            t.put(cell, "id", ScalarType.Str, cell_id)
            t.put(cell, "cell_type", ScalarType.Str, cell_type)
            t.put(cell, "position", ScalarType.Str, position)
            text = t.put_object(cell, "source", ObjType.Text)
            for at, letter in enumerate(source):
                t.insert(text, at, ScalarType.Str, letter)
            t.put(cell, "execution_count", ScalarType.Str, "null")
            t.put_object(cell, "outputs", ObjType.List)
            t.put_object(cell, "metadata", ObjType.Map)
            t.put_object(cell, "resolved_assets", ObjType.Map)

        self.change(add)

    def append(self, cell_id: str, text: str) -> None:
        def add(t: Transaction) -> None:
            source = self._part(cell_id, "source")
            start = self.doc.length(source)
            for at, letter in enumerate(text):
                t.insert(source, start + at, ScalarType.Str, letter)

        self.change(add)

    def delete_cell(self, cell_id: str) -> None:
        self.change(lambda t: t.delete(self._cells(), cell_id))

    def change(self, edit: Callable[[Transaction], object]) -> None:
        with self.doc.transaction() as transaction:
            edit(transaction)

    # Requests

    async def request(self, action: str, limit: float = 30.0, **fields: Any) -> dict[str, Any]:
        """Make a request and read until its response; the next one in is taken for it."""
        await self.send(REQUEST, json.dumps({"action": action, **fields}).encode())
        with trio.fail_after(limit):
            while True:
                if (response := await self._take(await self.frame())) is not None:
                    return response

    async def execute(self, cell_id: str, limit: float = 60.0) -> list[str]:
        """Run a cell and wait for its end by its id; its outputs."""
        await self.confirm()
        queued = await self.request("execute_cell", cell_id=cell_id)
        assert queued["result"] == "cell_queued", queued
        await self.hear("execution_done", cell_id=cell_id, limit=limit)
        return self.outputs(cell_id)

    async def hear(self, name: str, limit: float = 30.0, **fields: Any) -> dict[str, Any]:
        """Take the next broadcast of that name and those fields, kept or still to come."""
        with trio.fail_after(limit):
            while True:
                for broadcast in self.broadcasts:
                    if broadcast["event"] == name and fields.items() <= broadcast.items():
                        self.broadcasts.remove(broadcast)
                        return broadcast
                await self._take(await self.frame())

    async def wait(self, condition: Callable[[], bool], limit: float = 30.0) -> None:
        """Take frames until something is true of the document."""
        with trio.fail_after(limit):
            while not condition():
                await self._take(await self.frame())


@asynccontextmanager
async def stock_client(
    socket: Path, actor: str = "human:stock", **handshake: Any
) -> AsyncIterator[StockClient]:
    """A stock client of a real daemon, opened."""
    async with await trio.open_unix_socket(socket) as stream:
        client = StockClient(stream, actor)
        await client.open(**handshake)
        yield client


async def read_blob(socket: Path, digest: str) -> bytes:
    """A blob, from the HTTP server whose port the blob channel tells."""
    async with await trio.open_unix_socket(socket) as stream:
        client = StockClient(stream)
        await stream.send_all(PREAMBLE + framed(b'{"channel":"blob"}'))
        await stream.send_all(framed(b'{"action":"get_port"}'))
        port = json.loads(await client.frame())["port"]

    def fetch() -> bytes:
        with urlopen(f"http://127.0.0.1:{port}/blob/{digest}", timeout=30) as answer:
            return answer.read()  # type: ignore[no-any-return]

    return await trio.to_thread.run_sync(fetch)
