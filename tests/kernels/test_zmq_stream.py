"""The edge-triggered descriptor under load: no wake-up is ever lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import zmq

from runtimed.kernels.zmq_stream import ZmqStream

pytestmark = pytest.mark.real


async def test_every_echo_arrives_while_the_receiver_also_sends(tmp_path: Path) -> None:
    """One task sends while another receives on the same socket: the case that loses edges."""
    address = f"ipc://{tmp_path}/echo"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(address)
        router.linger = 0

        def echo(count: int) -> None:
            for _ in range(count):
                router.send_multipart(router.recv_multipart())

        with trio.fail_after(60), ZmqStream(context, zmq.DEALER, address) as stream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, echo, 5000)
                received: list[bytes] = []

                async def receive() -> None:
                    while len(received) < 5000:
                        received.extend(frames[0] for frames in await stream.receive())

                nursery.start_soon(receive)
                for number in range(5000):
                    stream.send([b"%d" % number])
                    if number % 3 == 0:
                        await trio.lowlevel.checkpoint()
        assert received == [b"%d" % number for number in range(5000)]


async def test_ping_pong_never_stalls(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/ping"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(address)
        router.linger = 0

        def echo() -> None:
            for _ in range(2000):
                router.send_multipart(router.recv_multipart())

        with trio.fail_after(60), ZmqStream(context, zmq.DEALER, address) as stream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, echo)
                for number in range(2000):
                    stream.send([b"%d" % number])
                    assert await stream.receive() == [[b"%d" % number]]


async def test_a_cancelled_receive_loses_nothing(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/cancel"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(address)
        router.linger = 0
        with trio.fail_after(60), ZmqStream(context, zmq.DEALER, address) as stream:
            with trio.move_on_after(0.05):
                await stream.receive()
            stream.send([b"hello"])
            frames = await trio.to_thread.run_sync(router.recv_multipart)
            router.send_multipart(frames)
            assert await stream.receive() == [[b"hello"]]
