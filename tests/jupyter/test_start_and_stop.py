"""Kernels of our own: started detached and private, ended for certain, cleaned up after."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from jupyter_kernels import Stranger, deaf_kernel, stubborn_process, write
from runtimed.errors import KernelNotFound, KernelNotStopped, KernelStartFailed
from runtimed.jupyter.cleaning import clean_connection_files
from runtimed.jupyter.connection_files import read_connection_file
from runtimed.jupyter.discovery import look_at
from runtimed.jupyter.ending import interrupt_kernel, stop_kernel
from runtimed.jupyter.kernelspecs import KernelSpec
from runtimed.jupyter.naming import connection_of
from runtimed.jupyter.own_files import note_process
from runtimed.jupyter.starting import start_kernel
from runtimed.kernels.connection import free_ports
from runtimed.kernels.registry import record_process
from waiting import LIMIT, wait_until

pytestmark = pytest.mark.real

IPYKERNEL = KernelSpec(
    "python3", ("python", "-m", "ipykernel_launcher", "-f", "{connection_file}"), "Python 3"
)


def _environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "JUPYTER_RUNTIME_DIR": str(folder)}


async def test_a_kernel_is_started_by_itself_and_ends_with_its_files(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    with trio.fail_after(3 * LIMIT):
        started = await start_kernel(IPYKERNEL, environ=_environ(runtime), folder=tmp_path)
        pid = started.process.pid
        try:
            assert os.getsid(pid) == pid
            files = list(runtime.iterdir())
            assert len(files) == 3  # connection, log, process
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
            assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
            (kernel,) = look_at([started.connection])
            assert (kernel.pid, kernel.kernel_name, kernel.ours) == (pid, "python3", True)
            assert await stop_kernel(started.connection)
            assert started.process.wait() == 0
        finally:
            started.process.kill()
            started.process.wait()
    assert list(runtime.iterdir()) == []
    with pytest.raises(KernelNotFound):
        connection_of(started.connection.kernel_id, _environ(runtime))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('no module'); raise SystemExit(3)", "exited with code 3:\n  no module"),
        ("import time; time.sleep(600)", "Kernel did not respond within 0.5s"),
    ],
)
async def test_a_kernel_that_does_not_come_up_leaves_nothing(
    tmp_path: Path, code: str, message: str
) -> None:
    spec = KernelSpec("broken", (sys.executable, "-c", code, "{connection_file}"))
    limit = 0.5 if "respond" in message else LIMIT
    with pytest.raises(KernelStartFailed) as caught:
        await start_kernel(spec, environ=_environ(tmp_path / "r"), folder=tmp_path, limit=limit)
    assert message in str(caught.value)
    assert list((tmp_path / "r").iterdir()) == []


async def test_who_heeds_nothing_is_killed_if_the_ports_prove_it(tmp_path: Path) -> None:
    ip, ports = free_ports()
    path = write(tmp_path, "kernel-x.json", *ports, ip=ip)
    with stubborn_process(path) as process, trio.fail_after(LIMIT):
        assert await stop_kernel(read_connection_file(path), grace=0.1, terminate_grace=0.1)
        assert process.wait() == -9
    assert not path.exists()


async def test_nobody_is_killed_for_having_the_file_on_the_command_line(tmp_path: Path) -> None:
    with deaf_kernel(tmp_path, "kernel-x.json") as path:
        ports = read_connection_file(path).ports
        # One port is another's: no process has all of them.
        mixed = {**ports, "stdin": 1}
        write(tmp_path, "kernel-x.json", *(mixed[c] for c in ports))
        command = [sys.executable, "-c", "import time; time.sleep(600)", str(path)]
        with subprocess.Popen(command) as editor:  # noqa: ASYNC220 - it is quick
            connection = read_connection_file(path)
            wait_until(lambda: look_at([connection], limit=0.1)[0].pid == editor.pid)
            try:
                with trio.fail_after(LIMIT):
                    with pytest.raises(KernelNotStopped, match="can't be told"):
                        await stop_kernel(connection, grace=0.1)
                    with pytest.raises(KernelNotStopped, match="can't be told"):
                        await interrupt_kernel(connection)
                assert editor.poll() is None
            finally:
                editor.kill()
    assert path.exists()


async def test_a_dead_kernels_file_is_removed(tmp_path: Path) -> None:
    path = write(tmp_path, "kernel-x.json")
    assert not await stop_kernel(read_connection_file(path))
    assert not path.exists()


def test_cleaning_removes_what_is_dead_and_nothing_else(stranger: Stranger, tmp_path: Path) -> None:
    environ = {"JUPYTER_RUNTIME_DIR": str(tmp_path)}
    dead = write(tmp_path, "kernel-dead.json")
    alive = tmp_path / "kernel-alive.json"
    alive.write_bytes(stranger.path.read_bytes())
    broken = tmp_path / "kernel-broken.json"
    broken.write_text("{")
    with (
        deaf_kernel(tmp_path, "kernel-deaf.json") as deaf,
        # A port that went to somebody else; but this kernel of ours is known to have ended.
        socket.create_server(("127.0.0.1", 0)) as other,
        subprocess.Popen([sys.executable, "-c", ""]) as ended,
    ):
        ours = write(tmp_path, "runt-kernel-ours.json", 1, 2, 3, 4, other.getsockname()[1])
        note_process(ours, record_process(ended.pid))
        ended.wait()
        for path in (dead, alive, broken, deaf, ours):
            os.utime(path, (1000, 1000))
        fresh = write(tmp_path, "kernel-fresh.json")
        would = clean_connection_files(environ, timeout=0.5, dry_run=True)
        assert sorted(would.removed) == [dead, ours]
        assert dead.exists()
        done = clean_connection_files(environ, timeout=0.5)
    assert sorted(done.removed) == [dead, ours]
    assert [(error.path, error.reason) for error in done.errors] == [(broken, "it is not JSON")]
    assert done.alive == 3
    assert sorted(tmp_path.iterdir()) == sorted([alive, broken, deaf, fresh])


def test_kernels_are_meant_by_id_beginning_file_or_path(tmp_path: Path) -> None:
    environ = {"JUPYTER_RUNTIME_DIR": str(tmp_path)}
    ours = write(tmp_path, "runt-kernel-brave-otter.json")
    write(tmp_path, "runt-kernel-brave-oak.json")
    for text in ("brave-otter", "brave-ot", ours.name, ours.stem, str(ours)):
        assert connection_of(text, environ).path == ours
    with pytest.raises(KernelNotFound, match="No such kernel: calm"):
        connection_of("calm", environ)
    with pytest.raises(KernelNotFound, match="Several kernels are meant by 'brave'"):
        connection_of("brave", environ)
