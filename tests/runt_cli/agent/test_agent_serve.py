"""`runt agent serve`, started as a user would. Sections 10.1 and 10.5 of the agent protocol."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from trio_websocket import ConnectionClosed, open_websocket_url

from runt_cli.root import runt
from runtimed.agents.main import serve
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.real

RUNT = str(Path(sys.executable).with_name("runt"))
AGENT = """
import os
import trio


class Shouter:
    async def run(self, invocation, sender):
        if invocation.user_prompt == "wait":
            open("waiting", "w").close()
            await trio.sleep_forever()
        return {"type": "text", "text": invocation.user_prompt.upper()}


handler = Shouter()
"""


class Served:
    """A runtime that was started as a program."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        self.process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, "PATH": f"{Path(RUNT).parent}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"listening on port (\d+)", self.line)
        if found is None:
            raise AssertionError(self.process.communicate(timeout=LIMIT))
        self.port = int(found[1])

    def ask(self, message: str) -> list[Any]:
        """Send one message; what comes until the first terminal, or the close."""

        async def talk() -> list[Any]:
            seen: list[Any] = []
            with trio.fail_after(LIMIT):
                url = f"ws://127.0.0.1:{self.port}/?token=sesame"
                async with open_websocket_url(url) as websocket:
                    await websocket.send_message(message)
                    try:
                        while not seen or "result_message" not in seen[-1]:
                            seen.append(await websocket.get_message())
                    except ConnectionClosed as closed:
                        seen.append(closed.reason.code if closed.reason else None)
                    await websocket._stream.aclose()  # the library leaves it open
            return seen

        return trio.run(talk)

    def end(self) -> tuple[int, str]:
        """What it ended with, and what it wrote to stderr."""
        _, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    (tmp_path / "my_agent.py").write_text(AGENT)
    (tmp_path / "agent.py").write_text("print(input()[::-1])")
    started: list[Served] = []

    def make(*argv: str) -> Served:
        started.append(Served([*argv], tmp_path))
        return started[-1]

    yield make
    for each in started:
        each.process.kill()
        each.process.communicate()


def invocation(prompt: str) -> str:
    return (
        '{"message_type":"invocation_message","system_prompt":"s","model":"m",'
        f'"user_prompt":"{prompt}","secrets_to_redact":[]}}'
    )


def examples() -> list[str]:
    shown = CliRunner().invoke(runt, ["agent", "serve", "--help"]).output
    return [line.strip() for line in shown.splitlines() if line.startswith("    runt ")]


def test_help_begins_with_usage_and_has_examples() -> None:
    """Section 10.1: usage, beginning `Usage: `, exit 0."""
    for flag in ("-h", "--help"):
        done = CliRunner().invoke(serve, [flag])
        assert done.exit_code == 0
        assert done.output.startswith("Usage: ")
    assert len(examples()) == 4


@pytest.mark.parametrize("example", examples())
def test_an_example_works_as_it_stands(start: Callable[..., Served], example: str) -> None:
    """But for the port, so that tests can run side by side."""
    served = start(*shlex.split(example), "--port=0")
    (*_, answer) = served.ask(invocation("hello"))
    wanted = "hello" if "echo" in example else "olleh" if "command" in example else "HELLO"
    assert f'"text":"{wanted}' in answer
    served.process.send_signal(signal.SIGINT)
    assert served.end()[0] == 0


def test_it_is_a_module_too(start: Callable[..., Served]) -> None:
    served = start(sys.executable, "-m", "runtimed.agents", "--agent", "echo", "--port", "0")
    assert '"text":"hi"' in served.ask(invocation("hi"))[-1]


def test_sigterm_aborts_what_is_in_flight_and_ends_in_order(
    start: Callable[..., Served], tmp_path: Path
) -> None:
    """Section 10.5: terminal `Request cancelled` with its reason, close 1001, exit 0."""
    served = start(RUNT, "agent", "serve", "--handler", "my_agent.py", "--port", "0")
    seen: list[Any] = []
    client = threading.Thread(target=lambda: seen.extend(served.ask(invocation("wait"))))
    client.start()
    wait_until((tmp_path / "waiting").exists)
    served.process.send_signal(signal.SIGTERM)
    client.join()
    assert '"error":"Request cancelled","metadata":{"reason":"shutdown"}' in seen[0]
    assert seen[1] == 1001
    assert served.end()[0] == 0


def test_a_second_signal_ends_it_at_once(start: Callable[..., Served], tmp_path: Path) -> None:
    """Section 10.5: also with a handler that blocks the loop."""
    (tmp_path / "stuck.py").write_text(
        "import time\n"
        "async def run(invocation, sender):\n"
        "    open('waiting', 'w').close()\n"
        "    time.sleep(1000)\n"
    )
    served = start(RUNT, "agent", "serve", "--handler", "stuck.py", "--port", "0")

    seen: list[Any] = []
    client = threading.Thread(target=lambda: seen.extend(served.ask(invocation("x"))))
    client.start()
    wait_until((tmp_path / "waiting").exists)
    served.process.send_signal(signal.SIGTERM)
    while served.process.poll() is None:
        served.process.send_signal(signal.SIGTERM)
        try:
            served.process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    client.join()
    assert seen == [1006]
    assert served.end()[0] == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("argv", "code", "complaint"),
    [
        (["--agent", "nobody"], 1, 'unknown agent "nobody"\n'),
        (["--handler", "missing.py"], 1, "no such file: missing.py\n"),
        (["--handler", "json"], 1, "json has no handler or run\n"),
        (["--handler", "no_such_module_at_all"], 1, "cannot be loaded: ModuleNotFoundError"),
        (["--agent", "echo", "--port", "abc"], 2, "Invalid value for '--port'"),
        (["--agent", "echo", "--nonsense", "1"], 2, "No such option"),
        ([], 2, "Give either --handler or --agent."),
        (["--agent", "echo", "--command", "x"], 2, "--command goes with --agent command"),
        (["--agent", "command"], 2, "--command goes with --agent command"),
        (["--agent", "command", "--command", ""], 1, "needs a command"),
    ],
)
def test_wrong_uses_are_refused(argv: list[str], code: int, complaint: str) -> None:
    """Section 10.1: unknown options and non-numeric ports are rejected with exit 2."""
    done = CliRunner().invoke(serve, argv)
    assert done.exit_code == code
    assert complaint in done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = signal.getsignal(signal.SIGTERM)
        done = CliRunner().invoke(serve, ["--agent", "echo", f"--port={port}"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Cannot listen on 127.0.0.1, port {port}: ")
    assert "Traceback" not in done.stderr
    assert signal.getsignal(signal.SIGTERM) is before
