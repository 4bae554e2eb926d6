"""Connection files: where a kernel listens and with which key.

Kernels get private ipc:// channels. Their socket paths must stay short, so they may live in another
private directory than the connection file itself.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
import uuid
from pathlib import Path
from typing import Any

import attrs
import orjson

from runtimed.errors import StateDirectoryUnusable

__all__ = ["CHANNELS", "ConnectionFile", "socket_directory", "write_connection_file"]

#: In the order in which ports are numbered.
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

#: Bytes; leaves room for "-5" within the smallest limit of a Unix socket's path.
_MAX_PREFIX = 95


@attrs.frozen
class ConnectionFile:
    """A connection file on disk and the channels it names."""

    kernel_id: str
    path: Path
    key: bytes
    prefix: str

    def address(self, channel: str) -> str:
        return f"ipc://{self.prefix}-{CHANNELS.index(channel) + 1}"

    def remove(self) -> None:
        """Remove the file and the sockets of its channels; missing ones are fine."""
        self.path.unlink(missing_ok=True)
        for number in range(1, len(CHANNELS) + 1):
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


def write_connection_file(folder: Path, sockets: Path, kernel_name: str) -> ConnectionFile:
    """Make up a kernel's id, key and addresses and write them down, readable by this user only.

    Source: Jupyter messaging specification, "Connection files"; for ipc, `ip` is a path prefix and
    the ports are numbers appended to it.
    """
    kernel_id = uuid.uuid4().hex[:12]
    key = secrets.token_hex(32)
    prefix = str(sockets / kernel_id[:8])
    content: dict[str, Any] = {f"{name}_port": n for n, name in enumerate(CHANNELS, 1)}
    content |= {
        "transport": "ipc",
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
    return ConnectionFile(kernel_id=kernel_id, path=path, key=key.encode(), prefix=prefix)


def clear_directory(folder: Path) -> None:
    """Empty a directory of connection files or sockets that no live kernel uses."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
