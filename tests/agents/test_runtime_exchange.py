"""Section 3 of the agent protocol: requests, terminals, cancelling, and who closes."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from runtime_peer import (
    QUICK,
    Peer,
    connected,
    execution,
    invocation,
    peer_of,
    refused_with,
    serving,
)
from trio_websocket import ConnectionClosed

from runtimed.agents.handler import Invocation, Sender
from runtimed.agents.messages import TextResult
from waiting import LIMIT, wait_until_async

pytestmark = pytest.mark.real


class Steps:
    """A handler that a test holds by the hand."""

    def __init__(self) -> None:
        self.started = trio.Event()
        self.go_on = trio.Event()
        self.ended = trio.Event()
        self.invocations: list[Invocation] = []

    async def run(self, invocation: Invocation, sender: Sender) -> Any:
        self.invocations.append(invocation)
        if invocation.user_prompt == "wait":
            self.started.set()
            try:
                await self.go_on.wait()
            finally:
                self.ended.set()
        sender.send_assistant_message([f"said {invocation.user_prompt}"])
        return TextResult(text=invocation.user_prompt)


async def answers(peer: Peer) -> None:
    """The connection is still of use, and nothing of earlier requests comes on it."""
    done = await peer.ask(invocation("still there"))
    assert done[-1]["data"] == {"type": "text", "text": "still there"}
    assert [each["message_type"] for each in done] == ["assistant_message", "result_message"]


async def test_several_requests_on_one_socket_have_one_terminal_each() -> None:
    """Sections 3.1, 3.2."""
    async with connected() as peer:
        for number in range(20):
            *said, terminal = await peer.ask(invocation(f"a\nb{number}"))
            assert [each["text_blocks"] for each in said] == [["a"], [f"b{number}"]]
            assert terminal == {
                "message_type": "result_message",
                "data": {"type": "text", "text": f"a\nb{number}"},
                "metadata": {"model": "m"},
            }


async def test_the_steps_of_a_request_are_in_order(tmp_path: Path) -> None:
    """Section 3.1: pre-agent commands, the handler, post-agent commands, the terminal."""
    async with connected() as peer:
        seen = await peer.ask(
            invocation(
                "agent",
                pre_agent_invocation_commands=[
                    {"command": "echo one", "cwd": str(tmp_path / "made/here")},
                    {"command": "echo two >&2"},
                ],
                post_agent_invocation_commands=[{"command": "echo three"}],
            )
        )
    told = [each.get("text") or each.get("text_blocks") or "end" for each in seen]
    assert told == ["one\n", "two\n", ["agent"], "three\n", "end"]
    assert seen[1] == {
        "message_type": "command_output_message",
        "stream": "stderr",
        "text": "two\n",
        "command": "echo two >&2",
    }
    assert (tmp_path / "made/here").is_dir()


async def test_a_failing_command_before_the_agent_ends_the_request() -> None:
    """Sections 3.1, 6.2: verbatim text, and the agent never runs."""
    handler = Steps()
    async with connected(handler) as peer:
        commands = [{"command": "exit 3"}, {"command": "echo never"}]
        *said, terminal = await peer.ask(invocation(pre_agent_invocation_commands=commands))
        assert said == []
        assert terminal["error"] == "pre-agent command failed with exit code: 3"
        assert handler.invocations == []
        *_, terminal = await peer.ask(invocation(post_agent_invocation_commands=commands))
        assert terminal["error"] == "post-agent command failed with exit code: 3"
        assert len(handler.invocations) == 1
        await answers(peer)


async def test_a_second_request_supersedes_the_first() -> None:
    """Section 3.2; weakness 3: the busy refusal shifts answers by one."""
    handler = Steps()
    async with connected(handler) as peer:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        await answers(peer)
        await handler.ended.wait()
        assert handler.invocations[0].cancelled.is_set()
        await answers(peer)


async def test_a_second_request_is_refused_where_that_is_wanted() -> None:
    """Section 3.2: `on_busy="refuse"`."""
    handler = Steps()
    async with connected(handler, attrs.evolve(QUICK, on_busy="refuse")) as peer:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        (refused,) = await peer.ask(invocation("second"))
        assert refused["error"] == "Received request while another is in flight!"
        handler.go_on.set()
        *_, terminal = await peer.receive_until("result_message")
        assert terminal["data"]["text"] == "wait"
        await answers(peer)


async def test_a_cancelled_handler_is_interrupted_and_the_socket_stays_of_use() -> None:
    """Section 3.4; weakness 7: cancel does not interrupt handlers."""
    handler = Steps()
    async with connected(handler) as peer:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        (terminal,) = await peer.ask({"message_type": "cancel_message"})
        assert terminal == {
            "message_type": "error_message",
            "error": "Request cancelled",
            "metadata": {},
        }
        assert handler.ended.is_set()
        await answers(peer)


async def test_a_handler_that_clings_to_life_holds_up_no_terminal() -> None:
    """Section 3.4: "a handler shielding itself gets a bounded grace"."""
    let_go, started = trio.Event(), trio.Event()

    async def stubborn(invocation: Invocation, sender: Sender) -> Any:
        if invocation.user_prompt != "cling":
            return {"type": "text", "text": invocation.user_prompt}
        with trio.CancelScope(shield=True):
            started.set()
            await let_go.wait()
            sender.send_assistant_message(["too late"])
        return TextResult(text="too late")

    async with connected(stubborn, attrs.evolve(QUICK, cancel_grace=0.1)) as peer:
        await peer.send(invocation("cling"))
        await started.wait()
        (terminal,) = await peer.ask({"message_type": "cancel_message"})
        assert terminal["error"] == "Request cancelled"
        (terminal,) = await peer.ask(invocation("next"))
        assert terminal["data"]["text"] == "next"
        let_go.set()
        (terminal,) = await peer.ask(invocation("third"))
        assert terminal["data"]["text"] == "third"


async def test_cancelling_nothing_has_no_effect_and_no_answer() -> None:
    """Section 2.1, `cancel_message`."""
    async with connected(Steps()) as peer:
        await peer.send({"message_type": "cancel_message"})
        await answers(peer)


async def test_cancelling_ends_a_command_and_its_children(tmp_path: Path) -> None:
    """Section 6.2; weakness 6: cancel leaves grandchildren running."""
    pids = tmp_path / "pids"
    # The child ignores being asked, as the grandchild of a careless program may.
    command = f"sh -c 'trap \"\" TERM; echo $$ >> {pids}; sleep 1000 & wait; sleep 1000' & wait"
    async with connected(Steps()) as peer:
        await peer.send(execution(command))
        await wait_until_async(lambda: pids.exists() and pids.read_text().strip())
        (terminal,) = await peer.ask({"message_type": "cancel_message"})
        assert terminal["error"] == "Request cancelled"
        pid = int(pids.read_text())
        await wait_until_async(lambda: not running(pid))
        await answers(peer)


async def test_cancelling_ends_a_child_that_made_itself_a_daemon(tmp_path: Path) -> None:
    """The issue's bad input: commands that fork daemons."""
    pids = tmp_path / "pids"
    command = f"setsid sh -c 'echo $$ > {pids}; sleep 1000' & sleep 1000"
    async with connected(Steps()) as peer:
        await peer.send(execution(command))
        await wait_until_async(lambda: pids.exists() and pids.read_text().strip())
        await peer.ask({"message_type": "cancel_message"})
        pid = int(pids.read_text())
        await wait_until_async(lambda: not running(pid))


async def test_hanging_up_ends_a_command_and_its_children(tmp_path: Path) -> None:
    """Sections 3.3, 6.2: the client is gone in the middle of a request."""
    pids = tmp_path / "pids"
    async with serving() as server:
        async with peer_of(server) as peer:
            await peer.send(execution(f"sh -c 'echo $$ > {pids}; sleep 1000' & wait"))
            await wait_until_async(lambda: pids.exists() and pids.read_text().strip())
        pid = int(pids.read_text())
        await wait_until_async(lambda: not running(pid))


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


async def test_a_session_ends_with_a_confirmation_and_a_close() -> None:
    """Section 3.5."""
    async with connected(Steps()) as peer:
        await answers(peer)
        await peer.send({"message_type": "end_session_message"})
        assert await peer.rest() == [{"message_type": "end_session_confirm_message"}]
        assert peer.websocket.closed is not None
        assert peer.websocket.closed.code == 1000


async def test_ending_a_session_ends_the_request_in_flight_with_its_terminal() -> None:
    """Section 3.5; weakness 8: closes without a terminal."""
    handler = Steps()
    async with connected(handler) as peer:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        await peer.send({"message_type": "end_session_message"})
        terminal, confirmation = await peer.rest()
        assert terminal["error"] == "Request cancelled"
        assert confirmation == {"message_type": "end_session_confirm_message"}


async def test_heartbeats_come_while_a_request_is_in_flight() -> None:
    """Section 3.6: none after the terminal."""
    handler = Steps()
    async with connected(handler, attrs.evolve(QUICK, heartbeat_interval=0.02)) as peer:
        await peer.send(invocation("wait"))
        beats = [await peer.receive() for _ in range(3)]
        assert {each["message_type"] for each in beats} == {"heartbeat_message"}
        assert {each["phase"] for each in beats} == {"request_in_flight"}
        elapsed = [each["elapsed_ms"] for each in beats]
        assert elapsed == sorted(elapsed)
        assert all(isinstance(each, int) and each >= 20 for each in elapsed)
        handler.go_on.set()
        await peer.receive_until("result_message")
        await peer.send({"message_type": "end_session_message"})
        assert [each["message_type"] for each in await peer.rest()] == [
            "end_session_confirm_message"
        ]


@pytest.mark.parametrize("sent", ["{", "[1]", '{"message_type":"hello"}', "{}", b"\xff", b"[]"])
async def test_what_is_no_message_is_answered_with_an_error(sent: str | bytes) -> None:
    """Sections 1, 7; weakness 22: unknown types are swallowed without an answer."""
    async with connected(Steps()) as peer:
        await peer.send(sent)
        answer = await peer.receive()
        assert answer["message_type"] == "error_message"
        await answers(peer)


async def test_a_request_with_a_field_missing_is_answered_by_its_name() -> None:
    """Section 7: free text naming the field."""
    async with connected(Steps()) as peer:
        asked = invocation()
        del asked["model"]
        (terminal,) = await peer.ask(asked)
        assert terminal["error"] == "invocation_message: model is missing"
        await answers(peer)


async def test_what_is_no_message_is_only_logged_while_a_request_is_in_flight() -> None:
    """Section 1: exactly one terminal for the request."""
    handler = Steps()
    async with connected(handler) as peer:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        await peer.send('{"message_type":"hello"}')
        await peer.send("not json")
        handler.go_on.set()
        seen = await peer.receive_until("result_message", "error_message")
        assert [each["message_type"] for each in seen] == ["assistant_message", "result_message"]
        await answers(peer)


async def test_a_binary_message_holds_the_same_json() -> None:
    """Section 1, framing."""
    async with connected() as peer:
        await peer.send(b'{"message_type":"command_execution_message","commands":[]}')
        assert await peer.receive() == {
            "message_type": "command_execution_result_message",
            "results": [],
        }


async def test_a_prompt_of_three_megabytes_is_normal() -> None:
    """Section 1: the limit of the library must be raised."""

    async def count(invocation: Invocation, sender: Sender) -> TextResult:
        return TextResult(text=str(len(invocation.user_prompt)))

    async with connected(count) as peer:
        (terminal,) = await peer.ask(invocation("x" * 3_000_000))
        assert terminal["data"]["text"] == "3000000"


async def test_pings_are_answered_whatever_a_handler_does() -> None:
    """Section 1: the runtime must read its socket at all times."""
    handler = Steps()
    async with connected(handler) as peer:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        for _ in range(3):
            await peer.websocket.ping()


async def test_a_client_that_is_gone_without_a_word_is_noticed() -> None:
    """Section 1: the runtime pings, so that a dead client is noticed."""
    handler = Steps()
    settings = attrs.evolve(QUICK, ping_interval=0.05, pong_timeout=0.2)
    async with serving(handler, settings) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with stream:
            await stream.send_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            )
            received = b""
            with trio.fail_after(LIMIT):
                while chunk := await stream.receive_some():
                    received += chunk
        assert received.startswith(b"HTTP/1.1 101")
        assert (1011).to_bytes(2, "big") in received  # the code with which it closes


async def test_a_client_that_hangs_up_in_a_request_is_a_warning_with_code_and_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Sections 3.3, 10.5."""
    handler = Steps()
    async with serving(handler) as server:
        async with peer_of(server) as peer:
            await peer.send(invocation("wait", source_id="caller"))
            await handler.started.wait()
            await peer.websocket.aclose(4001, "had enough")
        await handler.ended.wait()
        assert handler.invocations[0].cancelled.is_set()
    (record,) = [each for each in caplog.records if "closed during a request" in each.message]
    assert record.levelname == "WARNING"
    assert record.message.startswith("[caller] ")
    assert record.message.endswith("4001 had enough")


async def test_a_message_that_is_too_large_closes_only_its_connection() -> None:
    """The issue's bad input: huge messages."""
    settings = attrs.evolve(QUICK, max_message_bytes=100_000)
    async with serving(settings=settings) as server:
        async with peer_of(server) as peer:
            await peer.send(invocation("x" * 200_000))
            assert await peer.rest() == []
            assert peer.websocket.closed is not None
            assert peer.websocket.closed.code == 1009
        async with peer_of(server) as other:
            assert await other.ask(execution())


async def test_connections_are_independent() -> None:
    """Section 10.3."""
    handler = Steps()
    async with serving(handler) as server, peer_of(server) as one, peer_of(server) as other:
        await one.send(invocation("wait"))
        await handler.started.wait()
        await answers(other)
        handler.go_on.set()
        await one.receive_until("result_message")


async def test_a_plain_http_request_is_refused_at_once() -> None:
    """Section 1. (The reference says 426; the library says 400.)"""
    async with serving() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP/1.1 400" in await stream.receive_some()


async def test_a_token_is_asked_for_where_there_is_one() -> None:
    """Section 10.1: `?token=`, mismatch gives HTTP 401; weakness 27."""
    async with serving(token="sesame ä") as server:
        for path in ("/", "/?token=", "/?token=wrong", "/?token=wrong&other=sesame"):
            assert await refused_with(server, path) == b"HTTP/1.1 401 "
        async with peer_of(server, "/?token=sesame%20%C3%A4") as peer:
            assert await peer.ask(execution())
    async with serving(token="sesame") as server:
        header = [(b"Authorization", b"Bearer sesame")]
        async with peer_of(server, headers=header) as peer:
            assert await peer.ask(execution())


async def test_a_web_page_may_connect_only_where_it_was_let_in() -> None:
    """Weakness 27: no Origin check."""
    page = [(b"Origin", b"https://example.com")]
    async with serving() as server:
        assert await refused_with(server, "/", tuple(page)) == b"HTTP/1.1 403 "
    let_in = serving(origins=["https://example.com"])
    async with let_in as server, peer_of(server, headers=page) as peer:
        assert await peer.ask(execution())


async def test_stopping_aborts_requests_and_closes() -> None:
    """Section 10.5: terminal `Request cancelled`, metadata `reason: shutdown`, close 1001."""
    handler = Steps()
    async with serving(handler) as server, peer_of(server) as peer, peer_of(server) as idle:
        await peer.send(invocation("wait"))
        await handler.started.wait()
        await server.stop()
        (terminal,) = await peer.rest()
        assert terminal["error"] == "Request cancelled"
        assert terminal["metadata"] == {"reason": "shutdown"}
        assert await idle.rest() == []
        for each in (peer, idle):
            assert each.websocket.closed is not None
            assert each.websocket.closed.code == 1001
        with pytest.raises(OSError, match=r"."):
            await trio.open_tcp_stream("127.0.0.1", server.port)


LEGACY = {"artifacts_dir": None}


def old(message: dict[str, Any]) -> dict[str, Any]:
    """As a client up to 0.8 writes it."""
    return {key: value for key, value in message.items() if key != "artifacts_dirs"} | LEGACY


async def test_an_old_client_is_closed_after_its_result() -> None:
    """Section 8.2: it waits for that."""
    async with connected() as peer:
        seen = await peer.ask(
            old(invocation("a", pre_agent_invocation_commands=[{"command": "echo b; echo c >&2"}]))
        )
        assert {each["message_type"] for each in seen} == {"assistant_message", "result_message"}
        said = "".join(text for each in seen for text in each.get("text_blocks", ()))
        assert sorted(said) == sorted("b\nc\na")
        assert await peer.rest() == []
        assert peer.websocket.closed is not None
        assert peer.websocket.closed.code == 1000


async def test_an_old_client_that_cancels_gets_its_terminal_and_a_close() -> None:
    """Section 8.2, `cancel_message`."""
    handler = Steps()
    async with connected(handler) as peer:
        await peer.send(old(invocation("wait")))
        await handler.started.wait()
        await peer.send({"message_type": "cancel_message"})
        (terminal,) = await peer.rest()
        assert terminal["error"] == "Request cancelled"


@pytest.mark.parametrize(("option", "closes"), [("always", True), ("never", False)])
async def test_an_option_says_whether_to_close(option: Any, closes: bool) -> None:
    """Section 8.2: `close_after_result`."""
    async with connected(Steps(), attrs.evolve(QUICK, close_after_result=option)) as peer:
        await peer.ask(old(invocation()) if not closes else invocation())
        if closes:
            with pytest.raises(ConnectionClosed):
                await peer.receive()
        else:
            await answers(peer)


async def test_a_request_on_tls_is_served(tmp_path: Path) -> None:
    """The issue's TLS files: a server with a context of its own."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    files = ["-keyout", str(key), "-out", str(cert)]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    await trio.run_process(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],
        capture_stderr=True,
    )
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(cert, key)
    client_side = ssl.create_default_context(cafile=str(cert))
    served = serving(ssl_context=server_side)
    async with served as server, peer_of(server, tls=client_side) as peer:
        assert await peer.ask(execution())
