from __future__ import annotations

import http.client
import math
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
import trio

from runtimed.blobs import server as server_module
from runtimed.blobs.server import BlobServer
from runtimed.blobs.store import BlobStore

pytestmark = pytest.mark.real

T = TypeVar("T")


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class Served:
    """A running store and server, and what a client does with them."""

    store: BlobStore
    server: BlobServer
    port: int
    nursery: trio.Nursery

    async def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        return (await self.in_thread(lambda c: ask(c, path, method, body, **headers)))[0]

    async def in_thread(self, *talks: Callable[[http.client.HTTPConnection], T]) -> list[T]:
        """One connection, on which these talk in turn."""

        def talk() -> list[T]:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                return [each(connection) for each in talks]
            finally:
                connection.close()

        with trio.fail_after(30):
            return await trio.to_thread.run_sync(talk)


def ask(
    connection: http.client.HTTPConnection,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    **headers: str,
) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, fields)
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    names.pop("date", None)
    return Answer(response.status, names, response.read())


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with trio.open_nursery() as nursery:
        store = await nursery.start(BlobStore(tmp_path).run)
        server = BlobServer(store)
        port = await nursery.start(server.run)
        yield Served(store, server, port, nursery)
        nursery.cancel_scope.cancel()


SHORT = {"access-control-allow-origin": "*"}


async def test_health(served: Served) -> None:
    answer = await served.ask("/health")
    assert answer == Answer(200, {**SHORT, "content-length": "2"}, b"OK")


@pytest.mark.parametrize("size", [0, 5, 300_000, 3_000_000])
@pytest.mark.parametrize("written", [True, False])
async def test_a_blob_is_served_whole(served: Served, size: int, written: bool) -> None:
    data = os.urandom(size)
    blob_hash = served.store.put_nowait(data, "image/png")
    if written:
        await served.store.flushed()
    answer = await served.ask(f"/blob/{blob_hash}")
    assert answer.status == 200
    assert answer.body == data
    assert answer.headers == {
        "content-type": "image/png",
        "content-length": str(size),
        "cache-control": "public, max-age=31536000, immutable",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "Accept-Ranges, Content-Length, Content-Range, ETag",
        "x-content-type-options": "nosniff",
        "accept-ranges": "bytes",
        "etag": f'"{blob_hash}"',
    }
    head = await served.ask(f"/blob/{blob_hash}", "HEAD")
    assert head == attrs.evolve(answer, body=b"")


async def test_a_blob_without_a_sidecar_is_just_bytes(served: Served) -> None:
    blob_hash = await served.store.put(b"data", "image/png")
    path = served.store.path(blob_hash)
    path.with_name(path.name + ".meta").unlink()
    assert (await served.ask(f"/blob/{blob_hash}")).headers["content-type"] == (
        "application/octet-stream"
    )


@pytest.mark.parametrize(
    "path",
    [
        "/blob/" + "0" * 64,
        "/blob/xyz",
        "/blob/../../etc/passwd",
        "/blob/%2e%2e%2fx",
        "/",
        "/output/1",
    ],
)
async def test_unknown_paths_are_not_found(served: Served, path: str) -> None:
    answer = await served.ask(path)
    assert answer == Answer(404, {**SHORT, "content-length": "9"}, b"Not Found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "WHATEVER"])
async def test_nothing_can_be_changed_by_http(served: Served, method: str) -> None:
    body = bytes(200_000) if method == "POST" else None
    answer = await served.ask("/health", method, body)
    assert answer.status == 405
    assert answer.body == b"Method Not Allowed"
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-type" not in answer.headers


async def test_a_page_may_ask_before_it_asks(served: Served) -> None:
    answer = await served.ask(
        "/blob/" + "0" * 64,
        "OPTIONS",
        Origin="http://page.example",
        Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="range",
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "Range" in answer.headers["access-control-allow-headers"]


async def test_a_blob_that_cannot_be_read_is_our_fault(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    path = served.store.path("ab" * 32)
    path.parent.write_bytes(b"")  # a file where the directory belongs
    answer = await served.ask("/blob/" + "ab" * 32)
    assert answer == Answer(500, {**SHORT, "content-length": "21"}, b"Internal Server Error")
    assert caplog.records[-1].message.startswith(f"blob can't be read hash={'ab' * 32} error=")
    path.parent.unlink()


@pytest.mark.parametrize("written", [True, False])
async def test_a_range_is_served(served: Served, written: bool) -> None:
    data = os.urandom(2_000_000)
    blob_hash = served.store.put_nowait(data, "video/mp4")
    if written:
        await served.store.flushed()
    answer = await served.ask(f"/blob/{blob_hash}", Range="bytes=1000-1500000")
    assert answer.status == 206
    assert answer.body == data[1000:1500001]
    assert answer.headers["content-range"] == "bytes 1000-1500000/2000000"
    answer = await served.ask(f"/blob/{blob_hash}", Range="bytes=2000000-")
    assert (answer.status, answer.body) == (416, b"Range Not Satisfiable")
    assert answer.headers["content-range"] == "bytes */2000000"
    answer = await served.ask(f"/blob/{blob_hash}", Range="bytes=0-9", If_Range='"old"')
    assert (answer.status, answer.body) == (200, data)


async def test_what_a_browser_has_is_not_sent_again(served: Served) -> None:
    blob_hash = await served.store.put(b"data", "a/b")
    answer = await served.ask(f"/blob/{blob_hash}", If_None_Match=f'"{blob_hash}"')
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == f'"{blob_hash}"'


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
async def test_a_name_of_another_site_is_refused(served: Served, host: str) -> None:
    blob_hash = await served.store.put(b"data", "a/b")
    for path in (f"/blob/{blob_hash}", "/health"):
        answer = await served.ask(path, Host=host.format(port=served.port))
        assert answer == Answer(403, {**SHORT, "content-length": "9"}, b"Forbidden")


async def test_the_names_of_this_machine_are_served(served: Served) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert (await served.ask("/health", Host=f"{host}:{served.port}")).status == 200


async def test_one_connection_serves_many_requests(served: Served) -> None:
    blob_hash = await served.store.put(b"data", "a/b")
    answers = await served.in_thread(
        lambda c: ask(c, "/health"),
        lambda c: ask(c, f"/blob/{blob_hash}", "HEAD"),
        lambda c: ask(c, "/blob/none"),
        lambda c: ask(c, f"/blob/{blob_hash}", If_None_Match="*"),
        lambda c: ask(c, "/", "OPTIONS"),
        lambda c: ask(c, f"/blob/{blob_hash}"),
    )
    assert [answer.status for answer in answers] == [200, 200, 404, 304, 204, 200]
    assert all("connection" not in answer.headers for answer in answers)


async def test_many_connections_at_once(served: Served) -> None:
    data = os.urandom(1_000_000)
    blob_hash = await served.store.put(data, "a/b")
    good: list[bool] = []

    async def fetch() -> None:
        good.append((await served.ask(f"/blob/{blob_hash}")).body == data)

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(fetch)
    assert good == [True] * 30


async def raw(served: Served, data: bytes) -> bytes:
    """All that the server answers to these bytes, until it closes."""
    with trio.fail_after(30):
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(data)
            await stream.send_eof()
            return b"".join([part async for part in stream])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.0\r\n\r\n", b"403"),
        (b"GET /health HTTP/1.0\r\nHost: localhost:PORT\r\n\r\n", b"200"),
        (b"GET /health HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: localhost:PORT\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET http://localhost:PORT/x HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n", b"404"),
        (
            b"GET / HTTP/1.1\r\nHost: localhost:PORT\r\n"
            b"Connection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"403",
        ),
    ],
)
async def test_odd_requests_get_an_answer_and_harm_nobody(
    served: Served, sent: bytes, status: bytes
) -> None:
    answer = await raw(served, sent.replace(b"PORT", b"%d" % served.port))
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert (await served.ask("/health")).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: !!\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%ff%fe\xc3 HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ],
)
async def test_nonsense_ends_its_own_connection_only(served: Served, sent: bytes) -> None:
    await raw(served, sent)
    assert (await served.ask("/health")).status == 200


async def test_a_client_that_closes_is_forgotten_at_once(served: Served) -> None:
    await served.ask("/health")
    before = trio.lowlevel.current_statistics().tasks_living
    streams = [await trio.open_tcp_stream("127.0.0.1", served.port) for _ in range(20)]
    for stream in streams:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"403" in await stream.receive_some()
        await stream.aclose()
    with trio.fail_after(30):
        for _ in iter(lambda: trio.lowlevel.current_statistics().tasks_living > before, False):
            await trio.sleep(0.01)


async def test_no_blob_is_served_under_another_name_over_http_2(served: Served) -> None:
    """Hypercorn takes HTTP/2 on any connection that begins with it; the same checks hold there."""
    import h2.config
    import h2.connection
    import h2.events

    blob_hash = await served.store.put(b"secret", "a/b")
    for authority, status in ((f"127.0.0.1:{served.port}", b"200"), ("evil.example", b"403")):
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=False))
        client.initiate_connection()
        request = [(":method", "GET"), (":path", f"/blob/{blob_hash}"), (":scheme", "http")]
        client.send_headers(1, [*request, (":authority", authority)], end_stream=True)
        events: list[object] = []
        with trio.fail_after(30):
            async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
                while not any(isinstance(event, h2.events.StreamEnded) for event in events):
                    await stream.send_all(client.data_to_send())
                    events += client.receive_data(bytes(await stream.receive_some()))
        [response] = [e for e in events if isinstance(e, h2.events.ResponseReceived)]
        assert (b":status", status) in list(response.headers or [])


async def test_a_client_that_leaves_in_the_middle_harms_nobody(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    blob_hash = await served.store.put(bytes(20_000_000), "a/b")
    for _ in range(3):
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        await stream.send_all(request_for(served, blob_hash))
        await stream.receive_some(1000)
        await stream.aclose()
    assert (await served.ask("/health")).status == 200
    assert caplog.records == []


def request_for(served: Served, blob_hash: str) -> bytes:
    return f"GET /blob/{blob_hash} HTTP/1.1\r\nHost: localhost:{served.port}\r\n\r\n".encode()


async def test_a_blob_that_shrinks_while_it_is_sent_breaks_off(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    blob_hash = await served.store.put(bytes(30_000_000), "a/b")
    with trio.fail_after(30):
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(request_for(served, blob_hash))
            received = len(await stream.receive_some(1000))
            served.store.path(blob_hash).write_bytes(b"")
            async for part in stream:
                received += len(part)
    assert received < 30_000_000
    assert "Error in ASGI Framework" in caplog.text
    assert (await served.ask("/health")).status == 200


async def test_idle_and_stuck_clients_do_not_hold_up_the_end(tmp_path: Path) -> None:
    data = bytes(50_000_000)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            store = await nursery.start(BlobStore(tmp_path).run)
            blob_hash = await store.put(data, "a/b")
            server = BlobServer(store)
            served = Served(store, server, await nursery.start(server.run), nursery)
            silent = await trio.open_tcp_stream("127.0.0.1", served.port)
            idle = await trio.open_tcp_stream("127.0.0.1", served.port)
            await idle.send_all(b"GET /health HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % served.port)
            await idle.receive_some()
            halfway = await trio.open_tcp_stream("127.0.0.1", served.port)
            await halfway.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc")
            stuck = await trio.open_tcp_stream("127.0.0.1", served.port)
            await stuck.send_all(request_for(served, blob_hash))
            await stuck.receive_some(1)
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        for stream in (silent, idle, halfway, stuck):
            await stream.aclose()
    assert server.port is None
    with pytest.raises(OSError, match=r"connect|refused"):
        await trio.open_tcp_stream("127.0.0.1", served.port)


async def test_a_reply_under_way_is_finished_after_a_cancel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_GRACE", 30.0)  # a busy machine may need long
    data = os.urandom(20_000_000)
    received = bytearray()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            store = await nursery.start(BlobStore(tmp_path).run)
            blob_hash = await store.put(data, "a/b")
            server = BlobServer(store)
            served = Served(store, server, await nursery.start(server.run), nursery)
            stream = await trio.open_tcp_stream("127.0.0.1", served.port)
            await stream.send_all(request_for(served, blob_hash))
            received += await stream.receive_some(1000)
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                async for part in stream:
                    received += part
        await stream.aclose()
    assert received.endswith(data)


async def test_a_blob_that_is_being_read_is_not_removed_under_its_reader(tmp_path: Path) -> None:
    data = os.urandom(20_000_000)
    received = bytearray()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            store = await nursery.start(BlobStore(tmp_path).run)
            blob_hash = await store.put(data, "a/b")
            server = BlobServer(store)
            served = Served(store, server, await nursery.start(server.run), nursery)
            async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
                await stream.send_all(request_for(served, blob_hash))
                received += await stream.receive_some(1000)
                assert await store.remove([blob_hash], put_before=math.inf) == (0, 0)
                while not received.endswith(data[-1000:]):
                    received += await stream.receive_some(1_000_000)
            while not (await store.remove([blob_hash], put_before=math.inf))[0]:  # noqa: ASYNC110
                await trio.sleep(0.01)  # until the server, too, is through with it
            nursery.cancel_scope.cancel()
    assert received.endswith(data)


async def test_a_server_that_nobody_asked_ends_at_once(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            server = BlobServer(BlobStore(tmp_path))
            port = await nursery.start(server.run)
            assert server.port == port
            nursery.cancel_scope.cancel()
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))  # nobody listens there any more


QUIET = """
import sys, trio
from signal import SIGHUP, SIGINT, SIGTERM, getsignal
from pathlib import Path
from runtimed.blobs.server import BlobServer
from runtimed.blobs.store import BlobStore
import http.client
async def main():
    before = [getsignal(s) for s in (SIGINT, SIGTERM, SIGHUP)]
    async with trio.open_nursery() as nursery:
        port = await nursery.start(BlobServer(BlobStore(Path(sys.argv[1]))).run)
        assert "hypercorn" not in sys.modules
        def get():
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/health")
            assert connection.getresponse().read() == b"OK"
            connection.close()
        await trio.to_thread.run_sync(get)
        assert "hypercorn" in sys.modules
        assert before == [getsignal(s) for s in (SIGINT, SIGTERM, SIGHUP)]
        nursery.cancel_scope.cancel()
trio.run(main)
"""


async def test_hypercorn_comes_late_says_nothing_and_takes_no_signals(tmp_path: Path) -> None:
    with trio.fail_after(30):
        done = await trio.run_process(
            [sys.executable, "-c", QUIET, str(tmp_path)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
