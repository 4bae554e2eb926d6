"""The fixture that runs a fake daemon; test modules name this module in `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_daemon import FakeDaemon


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """A fake daemon that the clients of this test connect to."""
    with FakeDaemon(tmp_path) as daemon:
        monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon.socket))
        yield daemon
