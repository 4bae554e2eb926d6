"""A kernel at work, seen, interrupted, inspected and stopped from a shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from daemon_home import DaemonHome
from runtimed import Session
from waiting import wait_until

pytestmark = pytest.mark.real

#: Runs until it is interrupted, in the kernel and in a process of its own.
CELL = """
import subprocess, sys, time
held = bytearray(40_000_000)
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print("at work", flush=True)
try:
    while True: time.sleep(0.01)
finally:
    child.communicate(b"")
"""


def test_a_kernel_is_seen_interrupted_inspected_and_stopped(
    daemon_home: DaemonHome, session_factory: Callable[..., Session]
) -> None:
    def runt_json(*arguments: str) -> Any:
        done = daemon_home.runt(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    session = session_factory()
    session.start_kernel()
    busy = session.create_cell(CELL)
    session.queue_cell(busy)
    session.queue_cell(session.create_cell("print(1)"))
    wait_until(lambda: session.get_cell(busy).outputs)

    (kernel,) = [each for each in runt_json("ps") if each["notebook_id"] == session.notebook_id]
    assert (kernel["kernel_status"], kernel["queued"], kernel["source"]) == ("busy", 1, "runtimed")
    assert kernel["processes"] == 2
    process = psutil.Process(kernel["kernel_pid"])
    assert kernel["memory_bytes"] > process.memory_info().rss * 0.9
    assert kernel["cpu_secs"] > 0

    kernel_id = kernel["kernel_id"][:6]
    assert runt_json("interrupt", kernel_id) == {
        "notebook_id": session.notebook_id,
        "has_kernel": True,
        "running": True,
        "dropped": 1,
    }
    wait_until(lambda: session.get_queue_state().executing is None)

    cells = {cell["id"]: cell for cell in runt_json("inspect", session.notebook_id)["cells"]}
    stream, error = cells[busy]["outputs"]
    assert stream == {"output_type": "stream", "name": "stdout", "size": len("at work\n")}
    assert error["ename"] == "KeyboardInterrupt"

    done = daemon_home.runt("stop", kernel_id)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"Shutdown notebook: {session.notebook_id}\n"
    assert not process.is_running()
    assert session.notebook_id not in daemon_home.runt("notebooks", "-q").stdout
    saved = runt_json("inspect", session.notebook_id)
    assert (saved["source"], len(saved["cells"])) == ("persisted_file", 2)
