"""Fixtures with a real daemon. A test that uses one is marked `real`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from daemon_home import DaemonHome

if TYPE_CHECKING:
    from runtimed import Session


@pytest.fixture(scope="session")
def daemon_home() -> Iterator[DaemonHome]:
    """One running daemon for all tests that do it no harm. Its end is checked: nothing is left."""
    home = DaemonHome("--uv-pool-size", "2", "--conda-pool-size", "0")
    try:
        home.start()
        yield home
    finally:
        home.close()


@pytest.fixture
def fresh_daemon() -> Iterator[Callable[..., DaemonHome]]:
    """Makes daemons of the test's own: `fresh_daemon(*flags, environ={...}, start=True)`."""
    homes: list[DaemonHome] = []

    def make(*flags: str, start: bool = True, **options: Any) -> DaemonHome:
        home = DaemonHome(*flags, **options)
        homes.append(home)
        if start:
            home.start()
        return home

    try:
        yield make
    finally:
        for home in homes:
            home.close()


@pytest.fixture
def session_factory(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Session]]:
    """Makes connected Sessions with the shared daemon, closed when the test ends.

    This process finds that daemon, too, for as long as the test lasts.
    """
    from runtimed import Session

    monkeypatch.setenv("RUNTIMED_SOCKET_PATH", str(daemon_home.socket))
    sessions: list[Session] = []

    def make(**options: Any) -> Session:
        session = Session(**options)
        sessions.append(session)
        session.connect()
        return session

    try:
        yield make
    finally:
        for session in sessions:
            session.close()
