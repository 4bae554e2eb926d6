"""The end of kernels and daemons in the middle of everything, and what the next daemon finds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
import pytest

from daemon_home import DaemonHome
from runtimed import DaemonClient, Session
from runtimed.errors import RuntimedError
from waiting import wait_until

pytestmark = pytest.mark.real

MakeDaemon = Callable[..., DaemonHome]
OpenSession = Callable[..., Session]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"


def fill(disk: Path) -> Path:
    """Leave no byte free on a disk; the file that took them."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def terminate(home: DaemonHome) -> None:
    """End the daemon with SIGTERM: in order, nothing left in its place."""
    assert home.stop() == 0
    assert not home.socket.exists()
    assert not home.paths.info.exists()
    assert not home.paths.kernel_registry.exists()
    assert "Traceback" not in home.log
    assert "kernel died" not in home.log


def test_sigterm_while_the_pool_is_being_built(fresh_daemon: MakeDaemon) -> None:
    home = fresh_daemon("--uv-pool-size", "1", "--warm-kernels", "1", "--conda-pool-size", "0")
    wait_until(lambda: DaemonClient(home.socket).status()["uv_warming"] == 1)
    terminate(home)
    assert not list(home.paths.envs.glob("runtimed-uv-*"))


def test_sigterm_while_a_kernel_starts(
    kernel_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = kernel_daemon()
    startup = home.home / ".ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "slow.py").write_text("import time; time.sleep(60)")
    session = open_session(home)
    failures: list[Exception] = []

    def start() -> None:
        try:
            session.start_kernel()
        except RuntimedError as error:
            failures.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    wait_until(lambda: home.paths.kernel_registry.exists())
    terminate(home)
    starter.join(30)
    assert failures


def test_sigterm_while_a_cell_runs_that_will_not_end(
    kernel_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = kernel_daemon()
    session = open_session(home, notebook_id="busy")
    session.start_kernel()
    cell = session.create_cell(
        "import signal, subprocess\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '1000'])\n"
        "n = 0\n"
        "while True: print(n); n += 1"
    )
    session.queue_cell(cell)
    wait_until(lambda: bool(session.get_cell(cell).outputs))
    terminate(home)
    home.start()
    again = open_session(home, notebook_id="busy")
    text = "".join(output.text or "" for output in again.get_cell(cell).outputs)
    lines = text.split("\n")[:-1]
    assert lines[:1000] == [str(number) for number in range(min(1000, len(lines)))]
    assert lines


def test_sigterm_while_a_large_file_is_loaded(
    bare_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = bare_daemon()
    path = home.home / "large.ipynb"
    cells = [
        {"id": f"c{n}", "cell_type": "code", "source": "x = 1\n" * 50, "metadata": {},
         "outputs": [{"output_type": "stream", "name": "stdout", "text": "y" * 3000}],
         "execution_count": 1}
        for n in range(1500)
    ]  # fmt: skip
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_bytes(orjson.dumps(content))
    before = path.read_bytes()

    def open_it() -> None:
        try:
            open_session(home, path)
        except RuntimedError:
            pass

    opener = threading.Thread(target=open_it)
    opener.start()
    wait_until(lambda: bool(DaemonClient(home.socket).list_rooms()))
    terminate(home)
    opener.join(30)
    assert path.read_bytes() == before
    home.start()
    whole = open_session(home, path)
    assert [cell.id for cell in whole.get_cells()] == [f"c{n}" for n in range(1500)]


def test_a_killed_daemon_leaves_a_document_that_was_saved_while_it_was_edited_and_no_kernel(
    kernel_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = kernel_daemon()
    session = open_session(home, notebook_id="precious")
    session.start_kernel()
    shown = session.create_cell(
        "print('shown', flush=True)\nimport time\nwhile True: time.sleep(1)"
    )
    session.queue_cell(shown)
    wait_until(lambda: bool(session.get_cell(shown).outputs))
    [pid] = [entry["pid"] for entry in _registered(home)]
    [file] = _documents(home, 1)
    written: list[str] = []
    sizes = {file.stat().st_size}

    def saved_while_edited() -> bool:
        written.append(session.create_cell(f"x = {len(written)}"))
        sizes.add(file.stat().st_size)
        return len(sizes) > 3

    wait_until(saved_while_edited)
    saved = set(home.saved_cells())
    assert saved & set(written)
    home.kill()
    home.start_after_kill()
    wait_until(lambda: gone(pid))
    again = open_session(home, notebook_id="precious")
    found = {cell.id: cell for cell in again.get_cells()}
    assert saved <= set(found)
    kept = [cell for cell in written if cell in found]
    assert kept == written[: len(kept)]
    assert found[shown].outputs[0].text == "shown\n"
    again.start_kernel()
    assert again.run("print(1)").stdout == "1\n"


def _registered(home: DaemonHome) -> list[dict[str, int]]:
    return list(orjson.loads(home.paths.kernel_registry.read_bytes())["kernels"].values())


def test_a_daemon_killed_between_two_bytes_of_a_save_loses_no_more_than_those(
    bare_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = bare_daemon()
    session = open_session(home, notebook_id="cut")
    first = session.create_cell("first")
    [file] = _documents(home, 1)
    session.close()
    home.stop()
    whole = file.read_bytes()
    file.write_bytes(whole + b"\x85\x6f\x4a\x83 half a chunk")
    home.start()
    again = open_session(home, notebook_id="cut")
    assert [cell.id for cell in again.get_cells()] == [first]
    assert "cut tail dropped" in home.log


def _documents(home: DaemonHome, count: int) -> list[Path]:
    wait_until(lambda: len(list(home.paths.documents.glob("*.automerge"))) == count)
    return list(home.paths.documents.glob("*.automerge"))


def test_a_room_and_its_kernel_are_gone_after_the_keep_alive(
    kernel_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = kernel_daemon("--keep-alive", "5")
    client = DaemonClient(home.socket)
    session, other = (open_session(home, notebook_id="short") for _ in range(2))
    session.start_kernel()
    session.run("x = 41")
    [room] = client.list_rooms()
    pid = room["kernel_pid"]
    leaves_without_a_word = (
        "import os, runtimed\n"
        "session = runtimed.Session('short')\n"
        "runtimed.DaemonClient().ping()  # all is imported\n"
        "print('ready', flush=True); input()\n"
        "session.start_kernel()\n"
        "print(session.run('print(x + 1)').stdout, end='', flush=True)\n"
        "os._exit(0)"
    )
    named = home.env | {"RUNTIMED_SOCKET_PATH": str(home.socket)}
    command = [sys.executable, "-c", leaves_without_a_word]
    with subprocess.Popen(command, env=named, stdin=-1, stdout=-1, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        session.close()  # another is still there, so the kernel goes on
        other.close()  # did not start it
        said, _ = program.communicate("\n", 30)
    assert said == "42\n"
    wait_until(lambda: not client.list_rooms())
    wait_until(lambda: gone(pid))


def test_a_full_disk_stops_no_cell_loses_nothing_and_is_recovered_from(
    kernel_daemon: MakeDaemon, open_session: OpenSession, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("size=8m")
    home = kernel_daemon(environ={"XDG_CACHE_HOME": str(disk)})
    session = open_session(home, notebook_id="full")
    session.start_kernel()
    filler = fill(disk)
    try:
        cells = []
        for number in range(5):
            cell = session.create_cell(f"print('{number}' * 100_000)")
            result = session.execute_cell(cell)
            assert result.stdout == str(number) * 100_000 + "\n"
            cells.append(cell)
        reader = open_session(home, notebook_id="full")
        assert reader.get_cell(cells[0]).outputs[0].text == "0" * 100_000 + "\n"
        target = home.home / "elsewhere.ipynb"
        session.save(target)
        assert len(orjson.loads(target.read_bytes())["cells"]) == 5
        assert DaemonClient(home.socket).ping()
    finally:
        filler.unlink()
    wait_until(lambda: "disk takes blobs again" in home.log)

    def all_saved() -> bool:
        """The document follows its blobs."""
        saved = home.saved_cells()
        return all(cell in saved and saved[cell].outputs for cell in cells)

    wait_until(all_saved)
    home.kill()
    home.start_after_kill()
    again = open_session(home, notebook_id="full")
    assert [cell.id for cell in again.get_cells()] == cells
    assert again.get_cell(cells[4]).outputs[0].text == "4" * 100_000 + "\n"
    assert "disk refuses blobs" in home.log
    assert "Traceback" not in home.log


def test_sigterm_with_a_full_disk_ends_in_order(
    bare_daemon: MakeDaemon, open_session: OpenSession, small_disk: Callable[..., Path]
) -> None:
    disk = small_disk("size=8m")
    home = bare_daemon(environ={"XDG_CACHE_HOME": str(disk)})
    session = open_session(home, notebook_id="full")
    fill(disk)
    session.create_cell("y" * 100_000)
    session.get_queue_state()
    wait_until(lambda: "document not saved" in home.log)
    assert home.stop() == 0


def test_killing_the_kernel_from_outside_is_told_to_every_peer(
    kernel_daemon: MakeDaemon, open_session: OpenSession
) -> None:
    home = kernel_daemon()
    one, two = (open_session(home, notebook_id="told") for _ in range(2))
    one.start_kernel()
    two.start_kernel()
    cell = one.create_cell("while True: pass")
    one.queue_cell(cell)
    [room] = DaemonClient(home.socket).list_rooms()
    os.kill(room["kernel_pid"], signal.SIGKILL)
    wait_until(lambda: not one.kernel_started and not two.kernel_started)
    two.start_kernel()
    assert two.run("print(2)").stdout == "2\n"
