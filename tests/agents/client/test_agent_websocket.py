"""The client at real WebSockets. Source: agent runtime specification, 1, 9.2, 9.4, 9.5 and 12."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from agent_peers import (
    Message,
    Peer,
    SocketPeer,
    error,
    heartbeat,
    open_runtime,
    options,
    result,
    said,
    until_cancelled,
)
from reference_runtimes import Reference0151, Reference07
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from runtimed.agents import (
    AgentRuntimeError,
    AgentUnreachable,
    AssistantMessageInterface,
    CancelledException,
    PersistentTransport,
    RuntimeUseClient,
    TextResult,
    WebSocketTransport,
)
from runtimed.agents.client.inbox import Inbox
from runtimed.agents.client.websocket import MAX_MESSAGE_SIZE
from waiting import LIMIT, wait_until_async

pytestmark = pytest.mark.real


async def text_of(client: RuntimeUseClient, prompt: str = "hi") -> str:
    with trio.fail_after(LIMIT):
        answer = await client.query(prompt, options())
    assert isinstance(answer.data, TextResult)
    return answer.data.text


async def test_a_call_closes_its_connection_in_order() -> None:
    """Section 3.3: the client, with code 1000."""
    async with open_runtime(Reference0151()) as runtime:
        assert await text_of(RuntimeUseClient(ws_url=runtime.url)) == "answer to hi"
        (peer,) = runtime.peers
        with trio.fail_after(LIMIT):
            await peer.gone.wait()
        assert peer.socket.closed is not None
        assert peer.socket.closed.code == 1000


async def test_many_calls_at_once_and_a_session_work_on_both_runtimes() -> None:
    """Sections 3.2, 9.2"""
    async with open_runtime(Reference07(pause=0)) as old, open_runtime(Reference0151()) as new:
        seen: list[str] = []

        async def ask(url: str, prompt: str) -> None:
            seen.append(await text_of(RuntimeUseClient(ws_url=url), prompt))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, old.url, f"old {number}")
                nursery.start_soon(ask, new.url, f"new {number}")
        assert sorted(seen) == sorted(
            f"answer to {age} {number}" for age in ("old", "new") for number in range(5)
        )
        async with RuntimeUseClient(ws_url=new.url).session() as session:
            for prompt in "abc":
                answer = await session.query(prompt, options())
                assert answer.data == TextResult(text=f"answer to {prompt}")
        assert runtime_kinds(new.peers[-1]) == ["invocation_message"] * 3 + ["end_session_message"]


def runtime_kinds(peer: SocketPeer) -> list[str]:
    return peer.kinds


async def test_large_messages_pass_in_both_directions() -> None:
    """Section 1, weakness 28: at least 100 MiB are allowed; a few here."""
    assert MAX_MESSAGE_SIZE >= 100 * 2**20
    async with open_runtime(Reference0151()) as runtime:
        prompt = "ä" * 3_000_000
        assert await text_of(RuntimeUseClient(ws_url=runtime.url), prompt) == f"answer to {prompt}"


async def test_what_is_no_json_object_is_skipped_and_bytes_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Section 9.4"""

    async def script(peer: Peer) -> None:
        assert isinstance(peer, SocketPeer)
        await peer.receive()
        for strange in ("{", "[1]", '"x"', b"\xff", ""):
            await peer.socket.send_message(strange)
        await peer.socket.send_message(json.dumps(result("in bytes")).encode())
        await peer.until_gone()

    async with open_runtime(script) as runtime:
        assert await text_of(RuntimeUseClient(ws_url=runtime.url)) == "in bytes"
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 5


async def test_the_socket_is_read_while_a_callback_takes_its_time() -> None:
    """Section 9.4, weakness 29: pings are answered, with many messages waiting."""
    pinged = trio.Event()

    async def script(peer: Peer) -> None:
        assert isinstance(peer, SocketPeer)
        await peer.receive()
        for _ in range(500):
            await peer.send(said("x" * 1000))
        await peer.socket.ping()
        pinged.set()
        await peer.send(result())
        await peer.until_gone()

    count = 0

    async def on_assistant(message: AssistantMessageInterface) -> None:
        nonlocal count
        count += 1
        await pinged.wait()

    async with open_runtime(script) as runtime:
        client = RuntimeUseClient(ws_url=runtime.url)
        with trio.fail_after(LIMIT):
            await client.query("hi", options(on_assistant_message=on_assistant))
    assert count == 500


async def test_exceptions_come_out_bare_and_the_socket_is_closed() -> None:
    """Section 9.2"""
    mistake = LookupError("mine")

    async def on_assistant(message: AssistantMessageInterface) -> None:
        raise mistake

    async def work(request: Message, peer: Peer) -> Message:
        await peer.send(said("1"))
        await trio.sleep_forever()
        raise AssertionError

    async with open_runtime(Reference0151(work)) as runtime:
        client = RuntimeUseClient(ws_url=runtime.url)
        with pytest.raises(LookupError) as caught:
            await client.query("hi", options(on_assistant_message=on_assistant))
        assert caught.value is mistake
        with pytest.raises(LookupError) as caught:
            async with client.session() as session:
                await session.query("hi", options(on_assistant_message=on_assistant))
        assert caught.value is mistake


async def test_a_cancelled_scope_closes_the_socket_at_once() -> None:
    """Section 9.2: also one around a session, whose runtime does not listen to anything."""

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(said("working"))
        await peer.until_gone()

    async with open_runtime(script) as runtime:
        client = RuntimeUseClient(ws_url=runtime.url)
        with trio.fail_after(LIMIT):
            with trio.CancelScope() as scope:
                await client.query("hi", options(on_assistant_message=lambda _: scope.cancel()))
            assert scope.cancelled_caught
            with trio.CancelScope() as scope:
                async with client.session() as session:
                    told = options(on_assistant_message=lambda _: scope.cancel())
                    await session.query("hi", told)
            assert scope.cancelled_caught
            for peer in runtime.peers:
                await peer.gone.wait()


async def test_a_cancelled_call_leaves_its_session_usable() -> None:
    """Section 9.4: the cancel_message is sent although the call has returned."""

    async def script(peer: Peer) -> None:
        await peer.expect("invocation_message")
        await peer.send(said("working"))
        await peer.expect("cancel_message")
        await peer.send(error("Request cancelled"))
        await Reference0151()(peer)

    async with open_runtime(script) as runtime:
        async with RuntimeUseClient(ws_url=runtime.url).session() as session:
            with trio.CancelScope() as scope:
                await session.query("1", options(on_assistant_message=lambda _: scope.cancel()))
            with trio.fail_after(LIMIT):
                answer = await session.query("2", options())
        assert answer.data == TextResult(text="answer to 2")


async def test_an_abort_is_heard_over_a_socket() -> None:
    """Section 9.2"""
    async with open_runtime(until_cancelled) as runtime:
        client = RuntimeUseClient(ws_url=runtime.url)
        async with trio.open_nursery() as nursery:

            async def abort() -> None:
                await wait_until_async(lambda: runtime.peers and runtime.peers[0].heard)
                client.abort()

            nursery.start_soon(abort)
            with trio.fail_after(LIMIT), pytest.raises(CancelledException):
                await client.query("hi", options())


# ---------------------------------------------------------------------- ends


async def test_a_lost_connection_is_told_from_one_that_was_closed() -> None:
    """Section 9.2, weakness 35: the text is one; what is beside it differs."""

    async def closes(peer: Peer) -> None:
        await peer.receive()
        await peer.hang_up()

    async def breaks(peer: Peer) -> None:
        assert isinstance(peer, SocketPeer)
        await peer.receive()
        await trio.aclose_forcefully(peer.socket._stream)

    async def fails(peer: Peer) -> None:
        assert isinstance(peer, SocketPeer)
        await peer.receive()
        await peer.socket.aclose(1011, "out of memory")

    ends = []
    for script in (closes, breaks, fails):
        async with open_runtime(script) as runtime:
            with pytest.raises(AgentRuntimeError) as caught:
                await RuntimeUseClient(ws_url=runtime.url).query("hi", options())
        assert caught.value.error == "No result message received"
        ends.append(caught.value.metadata)
    assert ends == [
        None,
        {"closed": {"code": 1006, "reason": None}},
        {"closed": {"code": 1011, "reason": "out of memory"}},
    ]


@asynccontextmanager
async def open_server(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A server of something else than WebSockets; its URL, as if it were."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_a_runtime_that_shows_no_life_is_given_up() -> None:
    """Section 11: pings; without them a dead runtime would be waited for without end."""

    async def dead(stream: trio.SocketStream) -> None:
        connection = WSConnection(ConnectionType.SERVER)
        connection.receive_data(await stream.receive_some())
        assert any(isinstance(event, Request) for event in connection.events())
        await stream.send_all(connection.send(AcceptConnection()))
        await trio.sleep_forever()

    async with open_server(dead) as url:
        transport = WebSocketTransport(url, ping_interval=0.02, ping_patience=0.1)
        with trio.fail_after(LIMIT), pytest.raises(AgentRuntimeError) as caught:
            await RuntimeUseClient(transport=transport).query("hi", options())
    assert "no answer to a ping in 0.1 s" in str(caught.value)


async def test_pings_disturb_nobody() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        for _ in range(20):
            await trio.sleep(0.01)
            await peer.send(heartbeat())
        await peer.send(result())
        await peer.until_gone()

    async with open_runtime(script) as runtime:
        transport = WebSocketTransport(runtime.url, ping_interval=0.01)
        assert await text_of(RuntimeUseClient(transport=transport)) == "done"


# ---------------------------------------------------------------------- no connection


async def test_a_refused_connection_is_an_oserror() -> None:
    """Section 9.2: promptly, for calls and for sessions."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        client = RuntimeUseClient(ws_url=f"ws://127.0.0.1:{taken.getsockname()[1]}")
        with trio.fail_after(LIMIT):
            with pytest.raises(OSError, match=r"[Cc]onnect"):
                await client.query("hi", options())
            with pytest.raises(OSError, match=r"[Cc]onnect"):
                async with client.session():
                    pass


async def test_a_server_that_refuses_the_websocket_is_named() -> None:
    """Section 9.2. What the query of the URL says, such as a token, is not shown."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
        await stream.receive_some()

    async with open_server(refuse) as url:
        client = RuntimeUseClient(ws_url=f"{url}/?token=secret")
        with trio.fail_after(LIMIT), pytest.raises(AgentUnreachable) as caught:
            await client.query("hi", options())
    assert isinstance(caught.value, OSError)
    assert str(caught.value) == f"{url}/ refused the WebSocket: HTTP 401"


async def test_a_server_that_hangs_up_is_no_websocket() -> None:
    """Section 9.2: promptly, and not after the time that connecting may take."""

    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.aclose()

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.6\r\n")
        await stream.receive_some()

    for serve in (hang_up, talk):
        async with open_server(serve) as url:
            with trio.fail_after(LIMIT), pytest.raises(AgentUnreachable):
                await RuntimeUseClient(ws_url=url).query("hi", options())


async def test_a_server_without_tls_is_named() -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 400 No\r\n\r\n")

    async with open_server(talk) as url:
        client = RuntimeUseClient(ws_url=url.replace("ws:", "wss:"))
        with trio.fail_after(LIMIT), pytest.raises(AgentUnreachable, match="TLS"):
            await client.query("hi", options())


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    """Section 1: after 60 s, unless said otherwise."""
    assert WebSocketTransport("ws://x").connect_timeout == 60

    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with open_server(silent) as url:
        transport = WebSocketTransport(url, connect_timeout=0.05)
        with trio.fail_after(LIMIT), pytest.raises(TimeoutError, match=r"in 0\.05 s"):
            await RuntimeUseClient(transport=transport).query("hi", options())


async def test_an_abort_while_connecting_raises_at_once() -> None:
    """Section 9.2: the runtime is not at work, so there is no end to wait for."""
    connected = trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        connected.set()
        await trio.sleep_forever()

    async with open_server(silent) as url, trio.open_nursery() as nursery:
        client = RuntimeUseClient(ws_url=url)

        async def abort() -> None:
            await connected.wait()
            client.abort()

        nursery.start_soon(abort)
        with trio.fail_after(LIMIT), pytest.raises(CancelledException):
            await client.query("hi", options())


async def test_path_and_token_of_the_url_reach_the_runtime() -> None:
    """Section 10.1"""
    async with open_runtime(Reference0151()) as runtime:
        await text_of(RuntimeUseClient(ws_url=f"{runtime.url}/deep?token=a%20b"))
        assert runtime.peers[0].socket.path == "/deep?token=a%20b"


# ---------------------------------------------------------------------- 9.5 what waits


def test_the_websocket_transport_can_hold_a_connection() -> None:
    """Section 9.5"""
    assert isinstance(WebSocketTransport("ws://x"), PersistentTransport)


async def test_what_waits_is_bounded_by_its_size() -> None:
    """Section 9.4: by bytes and not by messages."""
    inbox = Inbox(limit=10)
    for _ in range(9):
        await inbox.put("x")
    await inbox.put("y" * 100)
    assert inbox.is_full
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.put, "late")
        await trio.testing.wait_all_tasks_blocked()
        taken = [await inbox.get() for _ in range(10)]
        assert taken == ["x"] * 9 + ["y" * 100]
        assert await inbox.get() == "late"
    inbox.end(None)
    inbox.end(LookupError("too late to count"))
    assert await inbox.get() is None


async def test_however_much_waits_other_tasks_have_their_turn() -> None:
    inbox = Inbox()
    for _ in range(1000):
        await inbox.put("x")
    left: list[int] = []

    async def other() -> None:
        left.append(inbox.waiting)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(1000):
            await inbox.get()
    assert left[0] > 0


async def test_the_end_comes_behind_what_waits() -> None:
    inbox = Inbox()
    await inbox.put("x")
    inbox.end(LookupError("lost"))
    assert await inbox.get() == "x"
    with pytest.raises(LookupError):
        await inbox.get()
