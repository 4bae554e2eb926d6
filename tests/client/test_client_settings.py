"""`get_settings` with a daemon that says nothing of settings, as older ones do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio
from fake_daemon import FakeDaemon

from runtimed import AsyncSession, Session
from runtimed.document.settings_values import Settings

pytest_plugins = ["fake_daemon_fixture"]
pytestmark = pytest.mark.real

CASES: list[tuple[bytes | None, dict[str, Any] | None]] = [
    (None, Settings().as_dict()),
    (
        b'{"theme": "dark", "keep_alive_secs": 1}',
        Settings(theme="dark", keep_alive_secs=5).as_dict(),
    ),
    (b'{"theme": "dark",}', None),
]


@pytest.mark.parametrize(("content", "expected"), CASES)
def test_the_settings_file_is_read_instead(
    daemon: FakeDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    expected: dict[str, Any] | None,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    if content is not None:
        (tmp_path / "nteract").mkdir()
        (tmp_path / "nteract" / "settings.json").write_bytes(content)
    with Session() as session:
        assert session.get_settings() is None
        session.connect()
        assert session.get_settings() == expected


async def test_a_settings_file_that_hangs_does_not_hold_up_the_loop(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "nteract").mkdir()
    pipe = tmp_path / "nteract" / "settings.json"
    os.mkfifo(pipe)  # reading it waits for a writer
    connected = False

    async def connect() -> None:
        nonlocal connected
        async with AsyncSession() as session:
            await session.connect()
            connected = True
            assert session.get_settings() == Settings(theme="light").as_dict()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect)
            for _ in range(20):
                await trio.sleep(0.005)
            assert not connected
            await trio.to_thread.run_sync(pipe.write_text, '{"theme": "light"}')
