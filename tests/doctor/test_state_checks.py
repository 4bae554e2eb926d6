"""Checks of what lies in a daemon's folders: each damage is made for real, found, and mended."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

from in_process import Runt
from runtimed.blobs.files import BlobWriter, blob_path, read_blob
from runtimed.doctor.blobs import blobs
from runtimed.doctor.checkup import examine, mend
from runtimed.doctor.documents import documents, settings
from runtimed.doctor.environments import cached_environments, pool_environments
from runtimed.doctor.finding import Check, Finding
from runtimed.doctor.kernels import connection_files, orphaned_kernels
from runtimed.doctor.permissions import permissions
from runtimed.doctor.site import DaemonState, Site, user_site
from runtimed.doctor.trust_key import trust_key
from runtimed.document.actors import daemon_actor
from runtimed.document.notebook import NotebookDocument
from runtimed.document.settings import SettingsDocument
from runtimed.environments.cache_folders import build_lock, complete, hold, new_folder
from runtimed.environments.directories import (
    Marker,
    Owner,
    new_environment_path,
    write_marker,
)
from runtimed.environments.locks import try_lock
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.key import make_key, read_key
from runtimed.kernels.registry import KernelRegistry, record_process
from runtimed.paths import settings_folder


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    runt = Runt(tmp_path, monkeypatch)
    runt.paths.base.mkdir(parents=True, mode=0o700)
    return user_site()


def _wrong(site: Site, check: Check) -> list[Finding]:
    return [one for one in examine(site, [check]) if one.is_wrong]


def _mend(site: Site, check: Check) -> list[str]:
    """Mend all that the check finds; what was done. Nothing is wrong then."""
    mended = mend(site, _wrong(site, check))
    assert [one.status for one in mended] == ["mended"] * len(mended)
    assert _wrong(site, check) == []
    return [one.done for one in mended]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_open_to_others_is_closed(site: Site) -> None:
    assert _wrong(site, permissions) == []
    site.paths.base.chmod(0o755)
    site.paths.connections.mkdir()
    file = site.paths.connections / "kernel-1.json"
    file.touch(0o644)
    assert [one.path for one in _wrong(site, permissions)] == [site.paths.base, file]
    assert _mode(site.paths.base) == 0o755
    _mend(site, permissions)
    assert (_mode(site.paths.base), _mode(file)) == (0o700, 0o600)


@pytest.mark.real
def test_orphaned_kernels_are_ended(site: Site) -> None:
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleeping, start_new_session=True) as orphan:
        KernelRegistry(site.paths.kernel_registry).add("k", record_process(orphan.pid))
        (finding,) = _wrong(site, orphaned_kernels)
        assert finding.what == f"1 kernel runs without a daemon (pid {orphan.pid})"
        assert orphan.poll() is None
        assert _mend(site, orphaned_kernels) == ["Ended 1 orphaned kernel"]
        assert orphan.wait(30) == -9


def test_leftover_connection_files_are_removed(site: Site) -> None:
    site.paths.connections.mkdir(mode=0o700)
    (site.paths.connections / "kernel-1.json").touch(0o600)
    assert _mend(site, connection_files) == [
        "Removed connection files and sockets of kernels that are gone (1)"
    ]
    assert list(site.paths.connections.iterdir()) == []


def _pooled(root: Path, marker: Marker | None) -> Path:
    path = new_environment_path(root, "uv")
    path.mkdir(parents=True)
    if marker is not None:
        write_marker(path, marker)
    return path


def test_half_built_environments_of_the_pools_are_removed(site: Site) -> None:
    root = site.paths.envs
    ready = _pooled(root, Marker("ready", time.time(), "f"))
    gone = [
        _pooled(root, Marker("building", time.time(), "f", owner="dead")),
        _pooled(root, Marker("claimed", time.time(), "f", owner="dead")),
        _pooled(root, None),
    ]
    (finding,) = _wrong(site, pool_environments)
    assert finding.what.startswith("3 environments left over: ")
    assert _mend(site, pool_environments) == ["Removed 3 environments of the pools"]
    assert ready.exists()
    assert not any(path.exists() for path in gone)


def test_environments_of_a_daemon_that_lives_are_left_alone(site: Site) -> None:
    root = site.paths.envs
    root.mkdir(parents=True)
    owner = Owner(root)
    try:
        building = _pooled(root, Marker("building", time.time(), "f", owner=owner.name))
        taken = _pooled(root, Marker("claimed", time.time(), "f", owner=owner.name))
        beginning = _pooled(root, None)
        dead = _pooled(root, Marker("building", time.time(), "f", owner="dead"))
        assert _mend(site, pool_environments) == ["Removed 1 environment of the pools"]
        assert building.exists()
        assert taken.exists()
        assert beginning.exists()
        assert not dead.exists()
    finally:
        owner.close()


def test_looking_leaves_the_files_of_dead_owners(site: Site) -> None:
    site.paths.envs.mkdir()
    left = site.paths.envs / f".owner-{'0' * 32}.lock"
    left.touch()
    _wrong(site, pool_environments)
    assert left.exists()


def _cached(root: Path, word: str, *, done: bool) -> Path:
    fingerprint = hashlib.sha256(word.encode()).hexdigest()
    path = new_folder(root, "uv", fingerprint, "own" if word == "own" else "env")
    path.mkdir(parents=True)
    if done:
        complete(path, fingerprint, [], time.time())
    return path


def test_leftovers_of_the_cache_are_removed_and_what_is_used_stays(site: Site) -> None:
    root = site.cached_environments
    whole = _cached(root, "whole", done=True)
    half, own, used = (_cached(root, word, done=False) for word in ("half", "own", "used"))
    held = hold(used)
    assert held is not None
    building = _cached(root, "building", done=False)
    with try_lock(build_lock(root, hashlib.sha256(b"building").hexdigest())) as locked:
        assert locked
        assert _mend(site, cached_environments) == ["Removed 2 environments of the cache"]
    held.release()
    assert [path.exists() for path in (whole, used, building)] == [True] * 3
    assert [path.exists() for path in (half, own)] == [False] * 2


def test_what_a_running_daemon_will_remove_is_no_trouble(site: Site) -> None:
    _cached(site.cached_environments, "own", done=False)
    (finding,) = examine(site, [cached_environments])
    assert (finding.status, finding.remedy) == ("warning", "The next daemon removes them")
    running = attrs.evolve(site, daemon=DaemonState(True, None, None))
    (finding,) = examine(running, [cached_environments])
    assert (finding.status, finding.remedy) == ("note", "The daemon removes them in a while")
    assert [one.status for one in mend(running, [finding])] == ["mended"]


def _put(site: Site, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    BlobWriter(site.paths.blobs).write(name, data, "text/plain")
    return name


def test_damaged_blobs_are_moved_aside(site: Site) -> None:
    good, bad, empty = (_put(site, data) for data in (b"good", b"bad", b"empty"))
    blob_path(site.paths.blobs, bad).write_bytes(b"BAD")
    blob_path(site.paths.blobs, empty).write_bytes(b"")
    (finding,) = _wrong(site, blobs)
    assert finding.what.startswith("2 damaged blobs (")
    assert finding.what.endswith("3 of 3 blobs were checked, the newest first")
    assert _mend(site, blobs) == [f"Moved 2 damaged blobs to {site.paths.blobs}/corrupt"]
    assert (site.paths.blobs / "corrupt" / bad).read_bytes() == b"BAD"
    assert read_blob(site.paths.blobs, good) == b"good"
    assert read_blob(site.paths.blobs, bad) is None
    assert _put(site, b"bad") == bad  # it can be put again
    assert read_blob(site.paths.blobs, bad) == b"bad"


def test_without_time_the_newest_blob_is_checked_and_the_report_says_so(site: Site) -> None:
    for number in range(5):
        _put(site, b"%d" % number)
    (finding,) = examine(attrs.evolve(site, reading=0), [blobs])
    assert finding.what.startswith("1 of 5 blobs were checked, the newest first")


def _save(site: Site, name: str, data: bytes) -> Path:
    site.paths.documents.mkdir(exist_ok=True)
    path = site.paths.documents / f"{name}.automerge"
    path.write_bytes(data)
    return path


def test_unreadable_documents_are_moved_aside(site: Site) -> None:
    whole = NotebookDocument.create("n", daemon_actor()).changes_since([])
    good = _save(site, "good", whole)
    cut = _save(site, "cut", whole + whole[:20])  # loading drops what was cut off
    bad = _save(site, "bad", b"no document")
    (finding,) = _wrong(site, documents)
    assert finding.path == bad
    _mend(site, documents)
    assert bad.with_name("bad.automerge.corrupt").read_bytes() == b"no document"
    assert good.read_bytes() == whole
    assert cut.exists()


def test_what_is_merely_closed_to_us_is_no_damage(site: Site) -> None:
    site.paths.documents.mkdir()
    (site.paths.documents / "x.automerge").mkdir()  # as unreadable to root as to anybody
    (finding,) = _wrong(site, documents)
    assert (finding.status, finding.repair) == ("error", None)
    assert finding.what == "The check of documents found no way: Is a directory"
    assert finding.path == site.paths.documents / "x.automerge"


def test_a_second_unreadable_document_of_a_name_keeps_the_first(site: Site) -> None:
    for content in (b"one", b"two"):
        _save(site, "bad", content)
        _mend(site, documents)
    kept = sorted(path.read_bytes() for path in site.paths.documents.iterdir())
    assert kept == [b"one", b"two"]


def test_a_settings_document_is_moved_and_a_settings_file_left_to_its_user(site: Site) -> None:
    assert [one.status for one in examine(site, [settings])] == []
    site.paths.settings.write_bytes(b"damaged")
    mirror = settings_folder() / "settings.json"
    mirror.parent.mkdir(parents=True)
    mirror.write_text('{"theme": "dark",}')
    document, file = _wrong(site, settings)
    assert (document.path, file.path) == (site.paths.settings, mirror)
    assert "line 1 column" in file.what
    assert [one.status for one in mend(site, [document, file])] == ["mended", "error"]
    assert site.paths.settings.with_name("settings.automerge.corrupt").exists()
    assert mirror.read_text() == '{"theme": "dark",}'
    mirror.write_text("{}")
    assert _wrong(site, settings) == []


def test_each_setting_that_is_not_used_is_told_with_what_is_allowed_and_used(site: Site) -> None:
    document = SettingsDocument.create(daemon_actor())
    document.update({"keep_alive_secs": 600})
    site.paths.settings.write_bytes(document.save())
    mirror = settings_folder() / "settings.json"
    mirror.parent.mkdir(parents=True)
    mirror.write_text(
        '{"default_python_env": "pipx", "keep_alive_secs": "abc", "colour": 1, "viewer": 5}'
    )
    found = examine(site, [settings])
    assert [(one.status, one.what, one.why) for one in found] == [
        (
            "warning",
            'The setting default_python_env is not used: "pipx"',
            'Allowed is "uv" or "conda"; used instead: "uv"',
        ),
        (
            "warning",
            'The setting keep_alive_secs is not used: "abc"',
            "Allowed is a whole number from 5 to 604800; used instead: 600",
        ),
        (
            "warning",
            "The setting viewer is not used: 5",
            "Allowed is a command line, as a text; used instead: no viewer",
        ),
        (
            "note",
            "The setting colour is not known",
            "It is misspelt or of another version, and left as it is",
        ),
    ]


@pytest.mark.parametrize("damage", ["size", "mode"])
def test_a_trust_key_that_cannot_be_relied_on_is_moved_aside(site: Site, damage: str) -> None:
    path = TrustFiles.of_user().key
    key = make_key(path)
    assert _wrong(site, trust_key) == []
    if damage == "size":
        path.write_bytes(key[:7])
    else:
        path.chmod(0o644)
    (finding,) = _wrong(site, trust_key)
    assert "approved" in finding.remedy
    _mend(site, trust_key)
    assert path.with_name("trust-key.corrupt").exists()
    assert make_key(path) != key
    assert read_key(path)


def test_a_trust_key_that_is_no_file_is_left(site: Site) -> None:
    path = TrustFiles.of_user().key
    path.mkdir(parents=True)
    (finding,) = _wrong(site, trust_key)
    assert finding.repair is None
