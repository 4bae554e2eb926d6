"""Jupyter kernels outside of any daemon: connection files, a deaf kernel, and a real one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from runtimed.jupyter.discovery import JupyterKernel, find_jupyter_kernels
from waiting import wait_until

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


def content(*ports: int, **others: Any) -> dict[str, Any]:
    """What a connection file holds; ports that nobody listens on unless some are given."""
    numbers = ports or (1, 2, 3, 4, 5)
    return {f"{name}_port": port for name, port in zip(CHANNELS, numbers, strict=True)} | {
        "transport": "tcp",
        "ip": "127.0.0.1",
        "key": "secret",
        "signature_scheme": "hmac-sha256",
        "kernel_name": "python3",
        **others,
    }


def write(folder: Path, name: str, *ports: int, **others: Any) -> Path:
    """Write a connection file."""
    path = folder / name
    path.write_text(json.dumps(content(*ports, **others)))
    return path


@contextmanager
def deaf_kernel(folder: Path, name: str) -> Iterator[Path]:
    """A connection file whose ports are open, in this process, and never answer."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in CHANNELS]
    try:
        yield write(folder, name, *(listener.getsockname()[1] for listener in listeners))
    finally:
        for listener in listeners:
            listener.close()


#: Listens on a connection file's ports, answers nobody and ends only when it is killed.
_STUBBORN = """
import json, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
content = json.load(open(sys.argv[1]))
held = [socket.create_server((content["ip"], port)) for name, port in content.items()
        if name.endswith("_port")]
print("up", flush=True)
time.sleep(600)
"""


@contextmanager
def stubborn_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a connection file's ports and heeds nothing."""
    command = [sys.executable, "-c", _STUBBORN, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            yield process
        finally:
            process.kill()


@attrs.frozen
class Stranger:
    """A kernel that somebody else started."""

    folder: Path
    path: Path
    process: subprocess.Popen[bytes]

    @property
    def environ(self) -> dict[str, str]:
        return {"JUPYTER_RUNTIME_DIR": str(self.folder), "HOME": str(self.folder)}

    def seen(self) -> JupyterKernel:
        """It, as discovery sees it now."""
        found = find_jupyter_kernels(self.environ, limit=10).kernels
        return next(kernel for kernel in found if kernel.path == self.path)

    def wait(self, state: str) -> JupyterKernel:
        """Wait until it is seen in this state."""
        wait_until(lambda: self.seen().state == state)
        return self.seen()


@contextmanager
def real_kernel(folder: Path) -> Iterator[Stranger]:
    """Start a kernel as another Jupyter program would, and end it."""
    path = folder / "kernel-0ab1.json"
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(path)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        kernel = Stranger(folder, path, process)
        wait_until(path.exists)
        wait_until(lambda: path.stat().st_size > 0 and kernel.seen().state == "idle")
        yield kernel
    finally:
        process.kill()
        process.wait()
