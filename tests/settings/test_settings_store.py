"""The settings service with real files and the real clock."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from runtimed.document.actors import client_actor
from runtimed.document.settings import SettingsDocument
from runtimed.document.settings_values import Settings
from runtimed.settings.store import SettingsStore


class Peer:
    """A peer without a connection: what it edits and hears goes through function calls."""

    def __init__(self, store: SettingsStore) -> None:
        self.store = store
        self.there = store.join()
        self.document = SettingsDocument.empty(client_actor())
        self.here = self.document.new_peer()
        self.sync()

    def sync(self) -> None:
        while True:
            heard = self.store.generate_sync(self.there)
            if heard is not None:
                self.document.receive_sync(self.here, heard)
            said = self.document.generate_sync(self.here)
            if said is not None:
                self.store.receive_sync(self.there, said)
            if heard is None and said is None:
                return

    def set(self, key: str, value: Any) -> None:
        self.document.update({key: value})
        self.sync()

    def read(self) -> Settings:
        self.sync()
        return self.document.read()


class Home:
    """Where one user's settings lie."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        self.base.mkdir()
        self.document = self.base / "settings.automerge"
        self.folder = folder / "config" / "nteract"
        self.mirror = self.folder / "settings.json"

    def write(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mirror.write_text(text)

    def edit(self, **values: Any) -> None:
        """As an editor saves: into another file, which is then renamed."""
        content = json.loads(self.mirror.read_text()) if self.mirror.exists() else {}
        new = self.mirror.with_name("settings.json~")
        new.write_text(json.dumps(content | values, indent=4))
        new.rename(self.mirror)

    def read(self) -> Any:
        return json.loads(self.mirror.read_text())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SettingsStore]:
        store = SettingsStore(self.document, self.folder)
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run)
            with trio.fail_after(30):
                await store.wait_loaded()
                yield store
            nursery.cancel_scope.cancel()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr("runtimed.settings.store._LOOK", 0.05)
    monkeypatch.setattr("runtimed.settings.store._REST", 0.02)
    return Home(tmp_path)


async def until(condition: Any) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - files have no event
            await trio.sleep(0.02)


async def test_without_files_there_are_defaults_and_a_start_writes_nothing_but_the_schema(
    home: Home,
) -> None:
    async with home.running() as store:
        assert store.current == Settings()
        await until((home.folder / "settings.schema.json").exists)
    assert list(home.base.iterdir()) == []
    assert [file.name for file in home.folder.iterdir()] == ["settings.schema.json"]


async def test_what_a_peer_changes_reaches_the_other_peers_and_both_files(home: Home) -> None:
    async with home.running() as store:
        one, other = Peer(store), Peer(store)
        before = store.current
        one.set("keep_alive_secs", 60)
        assert other.read().keep_alive_secs == 60
        assert (await store.wait_changed(before)).keep_alive_secs == 60
        await until(lambda: home.mirror.exists() and home.document.exists())
        assert home.read()["keep_alive_secs"] == 60
    saved = SettingsDocument.load(home.document.read_bytes(), b"x")
    assert saved.read().keep_alive_secs == 60


async def test_many_changes_are_written_together(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimed.settings.store._SAVE_QUIET", 60.0)  # SaveSchedule has its tests
    monkeypatch.setattr("runtimed.settings.store._SAVE_LONGEST", 60.0)
    async with home.running() as store:
        peer = Peer(store)
        for seconds in range(100, 200):
            peer.set("keep_alive_secs", seconds)
            await trio.sleep(0.001)
        assert not home.mirror.exists()
    assert home.read()["keep_alive_secs"] == 199


async def test_the_end_writes_what_was_changed_just_before(home: Home) -> None:
    async with home.running() as store:
        Peer(store).set("theme", "dark")
    assert home.read()["theme"] == "dark"
    async with home.running() as store:
        assert store.current.theme == "dark"


async def test_a_hand_edit_reaches_peers_and_is_saved_without_rewriting_the_file(
    home: Home,
) -> None:
    home.write('{"theme": "light"}')
    async with home.running() as store:
        peer = Peer(store)
        assert peer.read().theme == "light"
        home.write('{"theme":"light",   "keep_alive_secs": 77}')
        await until(lambda: peer.read().keep_alive_secs == 77)
        await until(home.document.exists)
        assert home.mirror.read_text() == '{"theme":"light",   "keep_alive_secs": 77}'
    async with home.running() as store:
        assert store.current == Settings(theme="light", keep_alive_secs=77)


async def test_a_hand_edit_and_a_peers_edit_of_other_keys_both_survive(home: Home) -> None:
    async with home.running() as store:
        peer = Peer(store)
        peer.set("uv.default_packages", ["numpy"])
        await until(home.mirror.exists)
        home.edit(keep_alive_secs=77, uv={"default_packages": ["numpy", "mine"]})
        peer.set("theme", "dark")  # not seen yet: the file still says system
        peer.set("uv.default_packages", ["numpy", "theirs"])
        expected = Settings(
            theme="dark", keep_alive_secs=77, uv_packages=("numpy", "theirs", "mine")
        )
        await until(lambda: peer.read() == expected)
        await until(lambda: home.read()["theme"] == "dark")
    assert home.read()["keep_alive_secs"] == 77
    assert home.read()["uv"]["default_packages"] == ["numpy", "theirs", "mine"]


async def test_an_edit_made_while_no_daemon_ran_beats_only_what_it_changes(home: Home) -> None:
    async with home.running() as store:
        peer = Peer(store)
        peer.set("theme", "dark")
        peer.set("keep_alive_secs", 60)
    # As after a crash: the document has a change that had not reached the file.
    document = SettingsDocument.load(home.document.read_bytes(), client_actor())
    document.update({"theme": "light"})
    home.document.write_bytes(document.save())
    home.edit(keep_alive_secs=90)
    async with home.running() as store:
        assert store.current == Settings(theme="light", keep_alive_secs=90)


async def test_unknown_keys_survive_a_later_change(home: Home) -> None:
    home.write('{\n\t"mine": [1, 2.50],\n\t"uv": {"index": "x"}\n}\n')
    async with home.running() as store:
        Peer(store).set("uv.default_packages", ["numpy"])
    text = home.mirror.read_text()
    assert '\t"mine": [1, 2.50],\n' in text
    assert home.read()["uv"] == {"index": "x", "default_packages": ["numpy"]}


async def test_a_settings_file_that_is_a_link_stays_one(home: Home, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.json"
    target.write_text('{"theme": "dark"}')
    home.folder.mkdir(parents=True)
    home.mirror.symlink_to(target)
    async with home.running() as store:
        peer = Peer(store)
        assert peer.read().theme == "dark"
        peer.set("keep_alive_secs", 60)
        await until(lambda: "keep_alive_secs" in target.read_text())
        assert home.mirror.is_symlink()
        target.write_text('{"theme": "light"}')
        await until(lambda: peer.read().theme == "light")


async def test_a_damaged_file_is_ignored_and_kept_aside_when_the_next_change_is_written(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.write('{"theme": "dark", "keep_alive_secs": 60,}')
    async with home.running() as store:
        assert store.current == Settings()
        assert "settings file is ignored until it is mended" in caplog.text
        assert "line 1 column 41" in caplog.text
        assert home.mirror.read_text().endswith(",}")
        Peer(store).set("theme", "light")
        await until(lambda: home.mirror.exists() and "$schema" in home.mirror.read_text())
    aside = home.folder / "settings.json.corrupt"
    assert aside.read_text() == '{"theme": "dark", "keep_alive_secs": 60,}'
    assert f"kept_as={aside}" in caplog.text


async def test_a_damaged_file_that_is_mended_counts_again(home: Home) -> None:
    async with home.running() as store:
        peer = Peer(store)
        peer.set("theme", "dark")
        await until(home.mirror.exists)
        good = home.mirror.read_text()
        home.write(good[:-20])
        await trio.sleep(0.8)
        assert peer.read().theme == "dark"
        home.write(good.replace('"dark"', '"light"'))
        await until(lambda: peer.read().theme == "light")


async def test_a_damaged_document_is_kept_aside_and_begun_anew_from_the_file(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.write('{"keep_alive_secs": 99}')
    home.document.write_bytes(b"not a document")
    async with home.running() as store:
        assert store.current == Settings(keep_alive_secs=99)
    aside = home.base / "settings.automerge.corrupt"
    assert aside.read_bytes() == b"not a document"
    assert "settings document is damaged" in caplog.text
    assert str(aside) in caplog.text


async def test_a_peer_that_outlives_the_document_merges_with_the_new_one(home: Home) -> None:
    async with home.running() as store:
        peer = Peer(store)
        peer.set("uv.default_packages", ["numpy"])
    home.document.unlink()
    home.mirror.unlink()
    async with home.running() as store:
        peer.store, peer.there = store, store.join()
        peer.here = peer.document.new_peer()
        peer.sync()
        assert store.current == Settings(uv_packages=("numpy",))
        peer.set("uv.default_packages", ["numpy", "polars"])
        assert store.current == Settings(uv_packages=("numpy", "polars"))


async def test_a_folder_that_can_not_be_written_costs_the_file_and_nothing_else(
    home: Home, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write('{"theme": "dark"}')

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if str(kwargs.get("dir")) == str(home.folder):
            raise PermissionError(13, "Permission denied", str(home.folder))
        return mkstemp(*args, **kwargs)

    # The user may be root, for whom no folder is read-only.
    mkstemp = tempfile.mkstemp
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    async with home.running() as store:
        peer, other = Peer(store), Peer(store)
        peer.set("keep_alive_secs", 60)
        assert other.read() == Settings(theme="dark", keep_alive_secs=60)
        await until(home.document.exists)
        home.write('{"theme": "light"}')
        await until(lambda: peer.read() == Settings(theme="light", keep_alive_secs=60))
    assert "settings file not written, make it writable" in caplog.text
    assert home.mirror.read_text() == '{"theme": "light"}'
    async with home.running() as store:
        assert store.current == Settings(theme="light", keep_alive_secs=60)


async def test_a_pipe_in_place_of_the_file_holds_nothing_up(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.folder.mkdir(parents=True)
    os.mkfifo(home.mirror)
    async with home.running() as store:
        peer = Peer(store)
        peer.set("theme", "dark")
        await until(home.document.exists)
    assert "settings file can't be read" in caplog.text
    assert home.mirror.is_fifo()


async def test_a_disk_that_refuses_the_document_is_tried_again(
    home: Home, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtimed.settings.store._SAVE_RETRY", 0.05)
    caplog.set_level(logging.ERROR)
    home.base.rename(home.base.with_name("away"))
    async with home.running() as store:
        Peer(store).set("theme", "dark")
        await until(lambda: "settings not saved" in caplog.text)
        home.base.with_name("away").rename(home.base)
        await until(home.document.exists)
    assert caplog.text.count("settings not saved") == 1


async def test_two_daemons_of_one_user_follow_each_other_through_the_file(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    second = Home(tmp_path / "second")
    second.folder, second.mirror = home.folder, home.mirror
    async with home.running() as store, second.running() as other:
        Peer(store).set("uv.default_packages", ["numpy"])
        await until(lambda: other.current.uv_packages == ("numpy",))
        Peer(other).set("theme", "dark")
        await until(lambda: store.current == Settings(theme="dark", uv_packages=("numpy",)))
        text = home.mirror.read_text()
        await trio.sleep(1.5)
        assert home.mirror.read_text() == text
        assert store.current == other.current


async def test_each_value_that_is_not_used_is_logged_once_when_the_file_is_read(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.write('{"default_python_env": "pipx", "keep_alive_secs": "abc", "theme": "dark"}')
    async with home.running() as store:
        assert (store.current.theme, store.current.keep_alive_secs) == ("dark", 30)
        warned = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
        assert warned == [
            'setting not used key=default_python_env value="pipx" '
            f'allowed="\\"uv\\" or \\"conda\\"" instead="uv" path={home.mirror}',
            'setting not used key=keep_alive_secs value="abc" '
            f'allowed="a whole number from 5 to 604800" instead=30 path={home.mirror}',
        ]
