"""Writing without waiting: what a socket takes, what it leaves, and what is no socket."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from runtimed.sockets import write_at_once


def pair() -> tuple[trio.SocketStream, socket.socket]:
    ours, theirs = socket.socketpair()
    return trio.SocketStream(trio.socket.from_stdlib_socket(ours)), theirs


@pytest.mark.real
async def test_a_socket_takes_what_fits_and_send_all_brings_the_rest() -> None:
    stream, theirs = pair()
    data = bytes(range(256)) * 40_000
    received = bytearray()

    def read() -> None:
        with theirs:
            while piece := theirs.recv(65536):
                received.extend(piece)

    async with trio.open_nursery() as nursery:
        sent = write_at_once(stream, data)
        assert 0 < sent < len(data)
        assert write_at_once(stream, data[sent:]) == 0  # full
        nursery.start_soon(trio.to_thread.run_sync, read)
        async with stream:
            await stream.send_all(data[sent:])
    assert bytes(received) == data


@pytest.mark.real
async def test_a_broken_socket_takes_nothing_and_sending_says_why() -> None:
    stream, theirs = pair()
    theirs.close()
    assert write_at_once(stream, b"x") == 0
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")
    await stream.aclose()
    assert write_at_once(stream, b"x") == 0


async def test_other_streams_take_nothing_at_once() -> None:
    stream, _ = trio.testing.memory_stream_pair()
    assert write_at_once(stream, b"x") == 0
