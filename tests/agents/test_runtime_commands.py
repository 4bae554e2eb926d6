"""Section 6.2 of the agent protocol: commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from runtime_peer import connected, execution, invocation, peer_of, serving
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request, TextMessage

pytestmark = pytest.mark.real


def output(messages: list[dict[str, Any]], stream: str = "stdout") -> str:
    return "".join(each["text"] for each in messages if each.get("stream") == stream)


def items(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = messages[-1]["results"]
    return found


async def test_commands_run_until_the_first_that_fails() -> None:
    """Section 3.1: not an error; later commands have no item. Weakness 5: its stdout is kept."""
    async with connected() as peer:
        done = await peer.ask(execution("echo a", "echo b; exit 7", "echo never"))
    assert items(done) == [
        {"command": "echo a", "exit_code": 0, "stdout": "a\n"},
        {"command": "echo b; exit 7", "exit_code": 7, "stdout": "b\n"},
    ]
    assert output(done) == "a\nb\n"


async def test_exit_codes_and_signals() -> None:
    """Section 6.2: 0-255 as is, unknown command 127, death by signal -N."""
    async with connected() as peer:
        for command, code in (("exit 255", 255), ("no_such_program_", 127), ("kill -9 $$", -9)):
            done = await peer.ask(execution(command))
            assert items(done)[0]["exit_code"] == code


async def test_folder_and_environment_are_those_of_the_command(tmp_path: Path) -> None:
    """Section 6.2: cwd created with parents; the environment overlaid; stderr only streamed."""
    folder = tmp_path / "not/there/yet"
    async with connected() as peer:
        command = {"command": 'pwd; echo "$A $HOME" >&2', "cwd": str(folder), "env": {"A": "b"}}
        done = await peer.ask(execution(command))
    assert items(done)[0]["stdout"] == f"{folder}\n"
    assert output(done, "stderr").startswith("b /")


async def test_the_agents_environment_is_not_that_of_commands() -> None:
    """Section 6.2: `agent_env` is not applied to commands."""
    async with connected() as peer:
        commands = [{"command": "echo [$ONLY_AGENT]"}]
        asked = invocation(agent_env={"ONLY_AGENT": "x"}, pre_agent_invocation_commands=commands)
        assert output(await peer.ask(asked)) == "[]\n"


async def test_a_command_that_reads_its_input_finds_it_empty() -> None:
    """Section 6.2, MUST; weakness 17: stdin is an open pipe."""
    async with connected() as peer:
        assert items(await peer.ask(execution("cat; echo done")))[0]["stdout"] == "done\n"


async def test_a_child_in_the_background_holds_up_nothing_and_lives_on(tmp_path: Path) -> None:
    """Section 6.2; weakness 18: `server &` holds the request until the server ends."""
    mark = tmp_path / "go on"
    async with connected() as peer:
        server = f"(while ! test -e '{mark}'; do sleep 0.05; done; rm '{mark}') & echo started"
        assert items(await peer.ask(execution(server)))[0]["stdout"] == "started\n"
        waiting = f"touch '{mark}'; while test -e '{mark}'; do sleep 0.05; done; echo it lived"
        assert items(await peer.ask(execution(waiting)))[0]["stdout"] == "it lived\n"


async def test_output_is_not_limited_and_all_of_it_arrives() -> None:
    """Section 6.2, MUST NOT; weakness 4: killed after 1 MiB of output."""
    async with connected() as peer:
        done = await peer.ask(execution("seq 500000"))
    assert output(done) == "".join(f"{number}\n" for number in range(1, 500_001))
    (item,) = items(done)
    assert item["exit_code"] == 0
    assert item["stdout_truncated"] is True
    note, _, tail = item["stdout"].partition("\n")
    omitted = len(output(done)) - len(tail)
    assert note == f"[... {omitted} bytes omitted ...]"
    assert tail.endswith("499999\n500000\n")
    assert len(tail) > 800_000  # a line end is two bytes of JSON


async def test_a_long_line_without_an_end_is_streamed() -> None:
    """The issue's bad input: no newline. Section 6.2: each message far under 1 MiB."""
    async with connected() as peer:
        done = await peer.ask(execution("head -c 3000000 /dev/zero | tr '\\0' x"))
    assert output(done) == "x" * 3_000_000
    assert max(len(each["text"]) for each in done[:-1]) <= 65536
    assert len(items(done)[0]["stdout"]) < 1_048_576


async def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    """Section 6.2: decoded across chunk borders, undecodable bytes as U+FFFD."""
    async with connected() as peer:
        split = "printf '\\303'; sleep 0.1; printf '\\244 \\377 \\303'"
        assert output(await peer.ask(execution(split))) == "ä \ufffd \ufffd"


async def test_a_secret_is_redacted_across_chunks_and_in_what_is_kept() -> None:
    """Section 4; weaknesses 12, 13."""
    async with connected() as peer:
        command = "printf 'a hun'; sleep 0.2; echo ter2; echo hunter2 >&2 # hunter2 text"
        done = await peer.ask(execution(command, secrets_to_redact=["hunter2", "text", "stdout"]))
    assert "hunter2" not in str(done)
    assert output(done) == "a [REDACTED]\n"
    assert output(done, "stderr") == "[REDACTED]\n"
    assert items(done)[0]["stdout"] == "a [REDACTED]\n"
    assert done[0]["command"].endswith("# [REDACTED] [REDACTED]")


async def test_a_request_without_secrets_is_like_any_other() -> None:
    """Weakness 1: kills the whole server process."""
    async with connected() as peer:
        asked = execution("echo a")
        del asked["secrets_to_redact"]
        assert output(await peer.ask(asked)) == "a\n"


async def test_a_command_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    async with connected() as peer:
        for command in ({"command": "true", "cwd": str(file)}, {"command": "a\0b"}):
            (error,) = await peer.ask(execution(command))
            assert error["error"].startswith("Command could not be started: ")
        assert items(await peer.ask(execution("echo fine")))


async def test_a_client_that_reads_slowly_slows_the_command_down(tmp_path: Path) -> None:
    """Section 6.2: back-pressure, no unbounded memory. Heartbeats and cancelling still work."""
    count = tmp_path / "count"
    command = f"i=0; while true; do i=$((i+1)); echo $i > {count}; head -c 100000 /dev/zero; done"
    async with serving() as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with stream:
            wire = WSConnection(ConnectionType.CLIENT)
            await stream.send_all(wire.send(Request(host="localhost", target="/")))
            wire.receive_data(bytes(await stream.receive_some()))
            list(wire.events())
            await stream.send_all(wire.send(TextMessage(data=json.dumps(execution(command)))))
            # Nothing is read: the command must come to a halt, far below what memory could take.
            seen, steady = "", 0
            while steady < 20:
                await trio.sleep(0.05)
                now = count.read_text() if count.exists() else ""
                steady = steady + 1 if now and now == seen else 0
                seen = now
            assert int(seen) < 500
        async with peer_of(server) as other:
            assert items(await other.ask(execution("echo fine")))


async def test_many_clients_at_once_all_get_their_output() -> None:
    """The issue: 50 clients at once, each with a running command, no starvation."""
    results: dict[int, str] = {}

    async def one(server: Any, number: int) -> None:
        async with peer_of(server) as peer:
            results[number] = output(await peer.ask(execution(f"sleep 0.1; echo {number}")))

    async with serving() as server, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(one, server, number)
    assert results == {number: f"{number}\n" for number in range(50)}
