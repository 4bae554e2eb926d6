"""Settings with a real daemon: a hand edit, clients, what the settings are used for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from daemon_home import DaemonHome
from runtimed import AsyncSession, DaemonClient, Session
from runtimed.document.actors import client_actor
from runtimed.document.settings import SettingsDocument
from runtimed.document.settings_values import Settings
from runtimed.paths import settings_folder
from runtimed.protocol import events, handshake
from runtimed.protocol.connection import NEED_DATA, Connection, Role
from waiting import wait_until, wait_until_async

pytestmark = pytest.mark.real

DEFAULTS = {
    "theme": "system",
    "default_runtime": "python",
    "default_python_env": "uv",
    "keep_alive_secs": 30,
    "onboarding_completed": False,
    "uv": {"default_packages": []},
    "conda": {"default_packages": []},
}


def settings_file(home: DaemonHome) -> Path:
    return settings_folder(home.env) / "settings.json"


class Peer:
    """A settings client over the daemon's socket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.connection = Connection(Role.CLIENT)
        self.document = SettingsDocument.empty(client_actor())
        self.sync = self.document.new_peer()

    @classmethod
    async def open(cls, home: DaemonHome) -> Peer:
        peer = cls(await trio.open_unix_socket(str(home.socket)))
        await peer.stream.send_all(peer.connection.open(handshake.SettingsSync()))
        await peer.wait(lambda settings: bool(peer.document.heads))
        return peer

    async def wait(self, condition: Callable[[Settings], bool]) -> None:
        with trio.fail_after(30):
            while not condition(self.document.read()):
                while (event := self.connection.next_event()) is NEED_DATA:
                    self.connection.receive_data(await self.stream.receive_some())
                assert isinstance(event, events.SyncMessage)
                self.document.receive_sync(self.sync, event.data)
                await self.say()

    async def say(self) -> None:
        if (message := self.document.generate_sync(self.sync)) is not None:
            await self.stream.send_all(self.connection.send(events.SyncMessage(message)))

    async def set(self, **values: Any) -> None:
        self.document.update(values)
        await self.say()


async def test_hand_edits_and_two_peers_and_a_restart(
    bare_daemon: Callable[..., DaemonHome],
) -> None:
    home = bare_daemon()
    file = settings_file(home)
    one, other = await Peer.open(home), await Peer.open(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('{\n    "mine": {"kept": 1.50},\n    "keep_alive_secs": 77\n}\n')
    for peer in (one, other):
        await peer.wait(lambda settings: settings.keep_alive_secs == 77)
    await one.set(theme="dark")
    await other.wait(lambda settings: settings.theme == "dark")
    await wait_until_async(lambda: "dark" in file.read_text())
    text = file.read_text()
    assert '\n    "mine": {"kept": 1.50},\n    "keep_alive_secs": 77,\n    "theme": "dark"' in text
    assert json.loads(text)["$schema"] == "./settings.schema.json"
    assert (file.parent / "settings.schema.json").exists()
    for peer in (one, other):
        await peer.stream.aclose()
    await trio.to_thread.run_sync(home.restart)
    again = await Peer.open(home)
    assert again.document.read() == Settings(theme="dark", keep_alive_secs=77)
    assert file.read_text() == text
    await again.stream.aclose()


def test_damaged_files_are_kept_aside_and_said(bare_daemon: Callable[..., DaemonHome]) -> None:
    home = bare_daemon(start=False)
    file = settings_file(home)
    file.parent.mkdir(parents=True)
    file.write_text('{"theme": "dark",}')
    home.paths.base.mkdir(parents=True)
    home.paths.settings.write_bytes(b"damaged")
    home.start()
    wait_until(lambda: "settings file is ignored until it is mended" in home.log)
    assert home.paths.settings.with_name("settings.automerge.corrupt").read_bytes() == b"damaged"
    assert "settings document is damaged" in home.log
    assert file.read_text() == '{"theme": "dark",}'


def test_sessions_know_the_settings_from_their_opening_on(
    bare_daemon: Callable[..., DaemonHome],
    open_session: Callable[..., Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = bare_daemon(start=False)
    file = settings_file(home)
    file.parent.mkdir(parents=True)
    file.write_text('{"default_python_env": "CONDA", "uv": {"default_packages": ["numpy"]}}')
    home.start()
    expected = DEFAULTS | {"default_python_env": "conda", "uv": {"default_packages": ["numpy"]}}
    assert Session().get_settings() is None
    session = open_session(home)
    found = session.get_settings()
    assert found == expected
    found["uv"]["default_packages"].append("changed by the caller")
    assert session.get_settings() == expected
    created = Session.create_notebook()
    assert created.get_settings() == expected
    assert created.get_metadata_env_type() == "conda"
    created.close()

    async def asynchronous() -> None:
        async with AsyncSession() as session:
            await session.connect()
            assert session.get_settings() == expected

    trio.run(asynchronous)


def test_a_notebook_without_peers_stays_as_long_as_the_setting_says(
    bare_daemon: Callable[..., DaemonHome], open_session: Callable[..., Session]
) -> None:
    home = bare_daemon(start=False)
    file = settings_file(home)
    file.parent.mkdir(parents=True)
    file.write_text('{"keep_alive_secs": 5}')
    home.start()
    open_session(home, notebook_id="book").close()
    assert "book" in [room["notebook_id"] for room in DaemonClient(home.socket).list_rooms()]
    wait_until(lambda: "room closed room=book" in home.log)
