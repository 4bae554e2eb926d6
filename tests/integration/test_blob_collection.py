"""Collection of blobs by a real daemon, with a grace time short enough to watch."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon_home import DaemonHome
from runtimed import Session
from runtimed.blobs.files import BlobWriter, blob_path
from waiting import wait_until

pytestmark = pytest.mark.real

BIG = "print('{}' * 20_000)"


def blobs(home: DaemonHome) -> set[str]:
    return {
        path.parent.name + path.name
        for path in home.paths.blobs.glob("??/*")
        if not path.name.startswith(".tmp.") and path.suffix != ".meta"
    }


def written(home: DaemonHome, count: int) -> set[str]:
    """Blobs that no document names, put long ago."""
    writer = BlobWriter(home.paths.blobs)
    names = set()
    for number in range(count):
        data = str(number).encode()
        name = hashlib.sha256(data).hexdigest()
        writer.write(name, data, "text/plain")
        os.utime(blob_path(home.paths.blobs, name), (1, 1))
        names.add(name)
    return names


def test_outputs_that_were_replaced_go_and_all_others_stay(
    kernel_daemon: Callable[..., DaemonHome], open_session: Callable[..., Session], tmp_path: Path
) -> None:
    home = kernel_daemon(environ={"RUNTIMED_BLOB_GRACE": "1"})
    session = open_session(home, notebook_id="open")
    kept = session.create_cell(BIG.format("k"))
    changed = session.create_cell(BIG.format("a"))
    session.execute_cell(kept)
    session.execute_cell(changed)
    replaced = hashlib.sha256(b"a" * 20_000 + b"\n").hexdigest()
    wait_until(lambda: replaced in blobs(home))
    session.set_source(changed, BIG.format("b"))
    session.execute_cell(changed)
    wait_until(lambda: replaced not in blobs(home))
    time.sleep(2.5)  # two more looks
    assert session.get_cell(kept).outputs[0].text == "k" * 20_000 + "\n"
    assert session.get_cell(changed).outputs[0].text == "b" * 20_000 + "\n"
    # A second client has nothing in memory: it reads what the daemon has left on the disk.
    other = open_session(home, notebook_id="open")
    assert [cell.outputs[0].text for cell in other.get_cells()] == [
        "k" * 20_000 + "\n",
        "b" * 20_000 + "\n",
    ]
    assert "blobs collected removed=" in home.log
    session.close()
    other.close()
    # Nobody is in it any more; its document is a file like others.
    home.restart()
    left = blobs(home)
    garbage = written(home, 3)
    wait_until(lambda: not garbage & blobs(home))
    assert blobs(home) == left
    again = open_session(home, notebook_id="open")
    assert [cell.outputs[0].text for cell in again.get_cells()] == [
        "k" * 20_000 + "\n",
        "b" * 20_000 + "\n",
    ]


def test_a_daemon_killed_while_it_removes_leaves_a_store_that_works(
    bare_daemon: Callable[..., DaemonHome],
) -> None:
    home = bare_daemon(environ={"RUNTIMED_BLOB_GRACE": "0.3"}, start=False)
    home.paths.blobs.mkdir(parents=True)
    first = blob_path(home.paths.blobs, min(written(home, 2000)))
    home.start()
    while first.exists():
        time.sleep(0.001)
    home.kill()
    left = blobs(home)
    for name in left:
        path = blob_path(home.paths.blobs, name)
        assert path.read_bytes().isdigit()
        assert path.with_name(path.name + ".meta").exists()
    home.start()
    wait_until(lambda: not blobs(home))
    wait_until(lambda: not list(home.paths.blobs.glob("??/*")))


def test_a_folder_that_may_be_shared_is_left_alone(
    bare_daemon: Callable[..., DaemonHome], tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    home = bare_daemon(
        "--blob-store-dir", str(shared), environ={"RUNTIMED_BLOB_GRACE": "0.1"}, start=False
    )
    name = "ab" * 32
    BlobWriter(shared).write(name, b"another daemon's", "text/plain")
    os.utime(blob_path(shared, name), (1, 1))
    home.start()
    wait_until(lambda: "blobs are not collected, the folder may be shared" in home.log)
    time.sleep(1.0)
    assert blob_path(shared, name).exists()


def test_daemons_of_development_have_blobs_of_their_own(tmp_path: Path) -> None:
    from runtimed.paths import default_paths

    environ: dict[str, Any] = {"HOME": str(tmp_path)}
    usual = default_paths(environ)
    own = default_paths(environ | {"RUNTIMED_WORKSPACE_PATH": str(tmp_path / "project")})
    assert own.blobs != usual.blobs
    assert own.blobs.parent == own.base
    assert own.documents.parent == own.base
