"""Section 10.1 of the agent protocol: finding the handler that a command line names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimed.agents.handlers.command import CommandAgent
from runtimed.agents.handlers.echo import Echo
from runtimed.agents.runtime.loading import (
    AGENTS,
    HandlerUnusable,
    as_handler,
    load_agent,
    load_handler,
)

AGENT = """
from beside import NAME

class Agent:
    async def run(self, invocation, sender):
        return NAME

async def run(invocation, sender):
    return "the function"

handler = Agent()
other = Agent
plain = 3

def blocking(invocation, sender):
    return "never"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "my_own_agent.py").write_text(AGENT)
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    (tmp_path / "only_run.py").write_text("async def run(invocation, sender): ...")
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [*sys.modules]:
        if name in ("beside", "my_own_agent", "only_run", "broken") or "_agent_handler_" in name:
            del sys.modules[name]


@pytest.mark.parametrize(
    "place",
    [
        "my_own_agent.py",
        "./my_own_agent.py:other",
        "my_own_agent",
        "my_own_agent:other",
        "my_own_agent:run",
        "only_run.py",
        "only_run",
    ],
)
def test_a_handler_is_found_by_file_and_by_module(place: str) -> None:
    assert callable(load_handler(place).run)


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("nowhere.py", "no such file: nowhere.py"),
        ("my_own_agent.py:missing", "my_own_agent.py has no missing"),
        ("beside", "beside has no handler or run"),
        ("my_own_agent:plain", "plain has no run"),
        ("my_own_agent:blocking", "blocking must be an async function"),
        ("broken.py", "broken.py cannot be loaded: ZeroDivisionError"),
        ("no.such.module", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_what_is_no_handler_is_named(place: str, complaint: str) -> None:
    with pytest.raises(HandlerUnusable, match=complaint):
        load_handler(place)


def test_a_handler_whose_run_is_not_async_is_refused() -> None:
    class Blocks:
        def run(self) -> None: ...

    class Broken:
        def __init__(self) -> None:
            raise ValueError("no key")

    with pytest.raises(HandlerUnusable, match=r"handler\.run must be an async function"):
        as_handler(Blocks())
    with pytest.raises(HandlerUnusable, match="handler cannot be made: no key"):
        as_handler(Broken)


def test_the_agents_that_come_with_it() -> None:
    assert isinstance(load_agent("echo"), Echo)
    agent = load_agent("command", command="python3 'my agent.py'", output="jsonl")
    assert agent == CommandAgent(["python3", "my agent.py"], "jsonl")
    for name in AGENTS:
        assert load_agent(name, command="true")
    with pytest.raises(HandlerUnusable, match='unknown agent "nobody"'):
        load_agent("nobody")
    with pytest.raises(HandlerUnusable, match="cannot be read"):
        load_agent("command", command="'")
