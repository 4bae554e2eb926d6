"""Kernels of connection files: living, dead, deaf, busy, and what others left."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from jupyter_kernels import Stranger, deaf_kernel, write
from runtimed.jupyter.connection_files import ConnectionInfo, read_connection_file
from runtimed.jupyter.discovery import (
    find_jupyter_kernels,
    find_jupyter_kernels_async,
    look_at,
)
from runtimed.jupyter.processes import KernelProcess, find_processes
from runtimed.messages.wire import WireFormat
from waiting import wait_until

pytestmark = pytest.mark.real


def test_a_living_kernel_is_described(stranger: Stranger) -> None:
    kernel = stranger.wait("idle")
    assert (kernel.kernel_id, kernel.path, kernel.ours) == ("0ab1", stranger.path, False)
    assert (kernel.language, kernel.implementation) == ("python", "ipython")
    assert kernel.language_version == ".".join(map(str, sys.version_info[:3]))
    assert kernel.process == KernelProcess(stranger.process.pid, listens=True)


def test_the_process_is_found_without_proc_too(stranger: Stranger) -> None:
    info = read_connection_file(stranger.path)
    found = find_processes([info], proc=Path("/nowhere"))
    assert found == {stranger.path: KernelProcess(stranger.process.pid, listens=True)}


async def test_many_dead_kernels_cost_no_more_than_one(stranger: Stranger, tmp_path: Path) -> None:
    for n in range(300):
        write(tmp_path, f"kernel-{n}.json")
    alive = tmp_path / "kernel-alive.json"
    alive.write_bytes(stranger.path.read_bytes())
    environ = {"JUPYTER_RUNTIME_DIR": str(tmp_path)}
    found = await find_jupyter_kernels_async(environ, limit=20)
    assert [kernel.kernel_id for kernel in found.running] == ["alive"]
    assert len(found.kernels) == 301
    assert found.skipped == []


def test_what_others_left_is_skipped_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "kernel-a.json").write_text("{")
    (tmp_path / "kernel-b.json").symlink_to("/etc/passwd")
    write(tmp_path, "runt-kernel-c.json", ip="/nowhere/" + "x" * 200, transport="ipc")
    found = find_jupyter_kernels({"JUPYTER_RUNTIME_DIR": str(tmp_path)})
    assert [(kernel.kernel_id, kernel.state) for kernel in found.kernels] == [("c", "dead")]
    assert {(file.path.name, file.reason) for file in found.skipped} == {
        ("kernel-a.json", "it is not JSON"),
        ("kernel-b.json", "it is a symbolic link"),
    }


def test_who_listens_and_does_not_answer_is_unresponsive(tmp_path: Path) -> None:
    with deaf_kernel(tmp_path, "kernel-deaf.json") as path:
        (kernel,) = look_at([read_connection_file(path)], limit=0.3)
    assert kernel.state == "unresponsive"


def test_a_process_that_listens_nowhere_yet_is_starting(tmp_path: Path) -> None:
    path = write(tmp_path, "kernel-slow.json")
    command = [sys.executable, "-c", "import time; time.sleep(60)", "-f", str(path)]
    with subprocess.Popen(command) as process:
        try:
            info = read_connection_file(path)
            wait_until(lambda: look_at([info])[0].pid)
            (kernel,) = look_at([info])
        finally:
            process.kill()
    assert (kernel.state, kernel.process) == ("starting", KernelProcess(process.pid, False))


def test_a_kernel_that_runs_a_cell_is_busy(stranger: Stranger) -> None:
    info = read_connection_file(stranger.path)
    stop = stranger.folder / "stop"
    wire = WireFormat(info.key, "test")
    code = f"import os, time\nwhile not os.path.exists({str(stop)!r}): time.sleep(0.01)"
    request = {"code": code, "silent": True, "store_history": False, "allow_stdin": False}
    with zmq.Context() as context, context.socket(zmq.DEALER) as shell:
        shell.connect(info.address("shell"))
        shell.send_multipart(wire.request("execute_request", request, "2026-01-01T00:00:00Z")[1])
        try:
            wait_until(lambda: stranger.seen().state == "busy")
            assert stranger.seen().language == "python"  # control tells
        finally:
            stop.touch()
        assert shell.poll(30_000)
    stranger.wait("idle")


def test_a_file_whose_ports_went_to_others_has_no_process(stranger: Stranger) -> None:
    """One port of a living kernel is no proof: it may have been given to it anew."""
    living = read_connection_file(stranger.path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = {**living.ports, "iopub": other.getsockname()[1]}
        stale = ConnectionInfo(Path("/old/kernel-x.json"), "tcp", living.ip, ports, b"")
        assert find_processes([living, stale]) == {
            stranger.path: KernelProcess(stranger.process.pid, listens=True)
        }
