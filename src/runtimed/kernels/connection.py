"""Connection files: where a kernel listens and with which key.

Kernels get private ipc:// channels where they can. Their socket paths must stay short, so they may
live in another private directory than the connection file itself. For those that know nothing but
TCP (Deno), ports of the machine's own network are found; what keeps others out is the key alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import attrs
import orjson

from runtimed.errors import StateDirectoryUnusable

__all__ = [
    "CHANNELS",
    "ConnectionFile",
    "Transport",
    "free_ports",
    "socket_directory",
    "write_connection_file",
]

Transport = Literal["ipc", "tcp"]

#: In the order in which ports are numbered.
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

#: Bytes; leaves room for "-5" within the smallest limit of a Unix socket's path.
_MAX_PREFIX = 95


@attrs.frozen
class ConnectionFile:
    """A connection file on disk and the channels it names.

    prefix: what the number of an ipc socket is appended to; for TCP the IP address.
    """

    kernel_id: str
    path: Path
    key: bytes
    prefix: str
    ports: tuple[int, ...] = ()

    def address(self, channel: str) -> str:
        number = CHANNELS.index(channel)
        if self.ports:
            return f"tcp://{self.prefix}:{self.ports[number]}"
        return f"ipc://{self.prefix}-{number + 1}"

    def remove(self) -> None:
        """Remove the file and the sockets of its channels; missing ones are fine."""
        self.path.unlink(missing_ok=True)
        for number in range(1, len(CHANNELS) + 1) if not self.ports else ():
            Path(f"{self.prefix}-{number}").unlink(missing_ok=True)


def socket_directory(preferred: Path) -> Path:
    """A private directory for kernel sockets, short enough for their paths.

    Raises: StateDirectoryUnusable if neither the preferred one nor one in the temporary directory
    can be had.
    """
    if len(os.fsencode(preferred)) + 10 <= _MAX_PREFIX:
        folder = preferred
    else:
        folder = Path(tempfile.gettempdir()) / f"runt-{os.getuid()}-{_short_hash(preferred)}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat(follow_symlinks=False)
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise StateDirectoryUnusable(f"{folder} belongs to somebody else")
    folder.chmod(0o700)
    return folder


def _short_hash(path: Path) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, str(path)).hex[:8]


def write_connection_file(
    folder: Path, sockets: Path, kernel_name: str, transport: Transport = "ipc"
) -> ConnectionFile:
    """Make up a kernel's id, key and addresses and write them down, readable by this user only.

    Source: Jupyter messaging specification, "Connection files"; for ipc, `ip` is a path prefix and
    the ports are numbers appended to it.
    """
    kernel_id = uuid.uuid4().hex[:12]
    key = secrets.token_hex(32)
    if transport == "tcp":
        prefix, ports = free_ports()
    else:
        prefix, ports = str(sockets / kernel_id[:8]), ()
    numbers = ports or range(1, len(CHANNELS) + 1)
    content: dict[str, Any] = {f"{name}_port": n for name, n in zip(CHANNELS, numbers, strict=True)}
    content |= {
        "transport": transport,
        "ip": prefix,
        "key": key,
        "signature_scheme": "hmac-sha256",
        "kernel_name": kernel_name,
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{kernel_id}.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    return ConnectionFile(kernel_id, path, key.encode(), prefix, ports)


def free_ports() -> tuple[str, tuple[int, ...]]:
    """An address of this machine's own network and ports on it that nobody listens on.

    They are free again until the kernel binds them. On Linux all of 127.0.0.0/8 is this machine, so
    each kernel gets an address of its own and nobody else is likely to take its ports meanwhile.
    """
    ip = "127.0.0.1"
    if sys.platform == "linux":
        ip = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    with ExitStack() as held:
        ports = []
        for _ in CHANNELS:
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((ip, 0))
            ports.append(int(probe.getsockname()[1]))
        return ip, tuple(ports)


def clear_directory(folder: Path) -> None:
    """Empty a directory of connection files or sockets that no live kernel uses."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
