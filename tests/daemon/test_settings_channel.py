"""The settings channel through the whole connection handler, and what settings are used for."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.document.actors import client_actor
from runtimed.document.settings import SettingsDocument
from runtimed.document.settings_values import Settings
from runtimed.protocol import events, handshake
from runtimed.protocol.connection import NEED_DATA, Connection, Role
from wire_peer import WirePeer


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Loopback]:
    async with open_loopback(tmp_path, keep_alive=None) as loopback:
        yield loopback


class SettingsPeer:
    """A stock client of the channel: a document and a connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.connection = Connection(Role.CLIENT)
        self.document = SettingsDocument.empty(client_actor())
        self.sync = self.document.new_peer()

    async def open(self) -> SettingsPeer:
        await self.stream.send_all(self.connection.open(handshake.SettingsSync()))
        await self.hear()  # the daemon speaks first
        await self.wait(lambda settings: bool(self.document.heads))
        return self

    async def hear(self) -> bool:
        """Take in one message and answer it; False at the end."""
        while (event := self.connection.next_event()) is NEED_DATA:
            try:
                self.connection.receive_data(await self.stream.receive_some())
            except trio.BrokenResourceError:
                return False
        if isinstance(event, events.Closed):
            return False
        assert isinstance(event, events.SyncMessage)
        self.document.receive_sync(self.sync, event.data)
        await self.say()
        return True

    async def say(self) -> None:
        if (message := self.document.generate_sync(self.sync)) is not None:
            await self.stream.send_all(self.connection.send(events.SyncMessage(message)))

    async def set(self, **values: Any) -> None:
        self.document.update(values)
        await self.say()

    async def wait(self, condition: Any) -> None:
        with trio.fail_after(30):
            while not condition(self.document.read()):
                assert await self.hear(), "closed"


async def open_peer(daemon: Loopback) -> SettingsPeer:
    return await SettingsPeer(daemon.connect_raw()).open()


async def test_the_daemon_speaks_first_and_a_new_peer_gets_the_settings(daemon: Loopback) -> None:
    peer = await open_peer(daemon)
    assert peer.document.read() == Settings()


async def test_a_change_reaches_the_other_peer_and_the_daemon(daemon: Loopback) -> None:
    one, other = await open_peer(daemon), await open_peer(daemon)
    await one.set(theme="dark", keep_alive_secs=60)
    await other.wait(lambda settings: settings.theme == "dark")
    assert daemon.settings.current == Settings(theme="dark", keep_alive_secs=60)
    await other.set(theme="light")
    await one.wait(lambda settings: settings.theme == "light")


async def test_what_can_not_be_decoded_ends_that_connection_alone(
    daemon: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    good, bad = await open_peer(daemon), await open_peer(daemon)
    await bad.stream.send_all(bad.connection.send(events.SyncMessage(b"\x42nonsense")))
    with trio.fail_after(30):
        while await bad.hear():
            pass
    assert "Invalid sync message" in caplog.text
    assert not [record for record in caplog.records if record.exc_info]
    await good.set(theme="dark")
    assert (await daemon.settings.wait_changed(Settings())).theme == "dark"


async def test_a_peer_that_leaves_is_forgotten(daemon: Loopback) -> None:
    peer = await open_peer(daemon)
    await peer.stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert not daemon.settings._peers


async def test_new_notebooks_are_of_the_users_default_kind(
    daemon: Loopback, tmp_path: Path
) -> None:
    peer = await open_peer(daemon)
    await peer.set(default_runtime="deno", default_python_env="conda")
    await daemon.settings.wait_changed(Settings())
    room, _, _ = await daemon.rooms.open_notebook(tmp_path / "new.ipynb")
    snapshot = room.document.metadata_snapshot()
    assert snapshot is not None
    assert snapshot["kernelspec"]["name"] == "deno"
    room, _ = await daemon.rooms.create_notebook("python", None, None)
    snapshot = room.document.metadata_snapshot()
    assert snapshot is not None
    assert snapshot["runt"]["conda"] == {"dependencies": [], "channels": ["conda-forge"]}
    assert "uv" not in snapshot["runt"]


async def test_every_reply_to_a_notebook_carries_the_settings(
    daemon: Loopback, tmp_path: Path
) -> None:
    peer = await open_peer(daemon)
    await peer.set(keep_alive_secs=77)
    await daemon.settings.wait_changed(Settings())
    hellos: list[Any] = [
        handshake.NotebookSync("some-room"),
        handshake.CreateNotebook("python"),
        handshake.OpenNotebook(str(tmp_path / "new.ipynb")),
    ]
    for hello in hellos:
        reply = await daemon.connect().open(hello)
        assert reply.settings == Settings(keep_alive_secs=77).as_dict()


async def test_an_unused_room_follows_a_change_of_the_keep_alive_time(
    daemon: Loopback, mock_clock: trio.testing.MockClock
) -> None:
    settings = await open_peer(daemon)
    await settings.set(keep_alive_secs=100_000)
    await daemon.settings.wait_changed(Settings())
    peer: WirePeer = await daemon.join("room")
    await peer.stream.aclose()
    for _ in range(20):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(60)
    await trio.testing.wait_all_tasks_blocked()
    assert "room" in daemon.listed()
    seen = daemon.settings.current
    await settings.set(keep_alive_secs=30)
    await daemon.settings.wait_changed(seen)
    room = daemon.rooms.find("room")
    assert room is not None
    for _ in range(3):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(60)
    await room.wait_ended()


async def test_peers_that_send_mutations_change_nothing_for_the_others(daemon: Loopback) -> None:
    good = await open_peer(daemon)
    await good.set(keep_alive_secs=60)
    await daemon.settings.wait_changed(Settings())
    source = SettingsDocument.create(client_actor())
    source.update({"theme": "dark", "uv.default_packages": ["numpy"]})
    valid = source.generate_sync(source.new_peer())
    assert valid is not None
    chances = random.Random(7)
    for _ in range(60):
        bad = SettingsPeer(daemon.connect_raw())
        await bad.stream.send_all(bad.connection.open(handshake.SettingsSync()))
        data = bytearray(valid)
        for _ in range(chances.randint(1, 4)):
            data[chances.randrange(len(data))] = chances.randrange(256)
        with contextlib.suppress(trio.BrokenResourceError):
            for cut in (len(data), chances.randrange(1, len(data))):
                message = events.SyncMessage(bytes(data[:cut]))
                await bad.stream.send_all(bad.connection.send(message))
        await trio.testing.wait_all_tasks_blocked()
        await bad.stream.aclose()
    await good.set(theme="light")
    with trio.fail_after(30):
        while daemon.settings.current.theme != "light":
            await daemon.settings.wait_changed(daemon.settings.current)
    assert daemon.settings.current.keep_alive_secs == 60
