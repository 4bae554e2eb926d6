"""Reading the connection files of a folder in which anybody may have left anything.

A file is read only if it is a plain file of this user and of a sensible size; what can't be used is
named with its reason, and never ends the listing.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import Any

import attrs
import orjson

from runtimed.errors import ConnectionFileUnusable

__all__ = [
    "CHANNELS",
    "ConnectionInfo",
    "SkippedFile",
    "connection_files",
    "kernel_id_of",
    "read_connection_file",
    "read_own_file",
]

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

#: Bytes; real ones have some 300.
_LARGEST = 65_536

_NAME = re.compile(r"(runt-)?kernel-(?P<id>.+)\.json\Z")

#: What a kernel that listens everywhere is asked for from here.
_HERE = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1"}


@attrs.frozen
class ConnectionInfo:
    """Where a kernel listens, as a connection file says it.

    Shape: `ip` is an IP address, or for the transport `ipc` the beginning of the sockets' paths;
    `ports` by channel. `kernel_name` is that of its kernelspec, "" when the file has none.
    """

    path: Path
    transport: str
    ip: str
    ports: dict[str, int] = attrs.field(eq=False)
    key: bytes = attrs.field(repr=False)
    kernel_name: str = ""

    @property
    def kernel_id(self) -> str:
        return kernel_id_of(self.path)

    @property
    def ours(self) -> bool:
        """Whether `runt jupyter start` gave the file its name."""
        return self.path.name.startswith("runt-")

    def address(self, channel: str) -> str:
        """Where ZMQ finds a channel."""
        if self.transport == "ipc":
            return f"ipc://{self.socket_path(channel)}"
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return f"tcp://{host}:{self.ports[channel]}"

    def socket_path(self, channel: str) -> str:
        """The file of a channel's socket, for the transport `ipc`."""
        return f"{self.ip}-{self.ports[channel]}"


@attrs.frozen
class SkippedFile:
    """A connection file that can't be used, and why."""

    path: Path
    reason: str


def kernel_id_of(path: Path) -> str:
    """What people call the kernel of a connection file: its name less prefix and suffix."""
    match = _NAME.match(path.name)
    return match["id"] if match else path.stem


def connection_files(folder: Path) -> tuple[list[Path], list[SkippedFile]]:
    """The files of a folder that are named like connection files, the newest first."""
    found: list[tuple[float, Path]] = []
    skipped: list[SkippedFile] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _NAME.match(entry.name):
                    try:
                        changed = entry.stat(follow_symlinks=False).st_mtime
                    except FileNotFoundError:
                        continue
                    found.append((changed, Path(entry.path)))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        skipped.append(SkippedFile(folder, _because(error)))
    return [path for _, path in sorted(found, reverse=True)], skipped


def read_connection_file(path: Path) -> ConnectionInfo:
    """Read one file.

    Raises: ConnectionFileUnusable with the reason, which does not name the file.
    """
    try:
        content = orjson.loads(read_own_file(path))
    except orjson.JSONDecodeError as error:
        raise ConnectionFileUnusable("it is not JSON") from error
    return _parse(path, content)


def read_own_file(path: Path) -> bytes:
    """What is in a small plain file of this user's, whoever else may write into its folder.

    Raises: ConnectionFileUnusable with the reason, which does not name the file.
    """
    # Not blocking, for a pipe has no end; no links, for they make a file of somebody else's ours.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if path.is_symlink():  # the error for it has other names elsewhere
            raise ConnectionFileUnusable("it is a symbolic link")
        descriptor = os.open(path, flags)
    except OSError as error:
        raise ConnectionFileUnusable(_because(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConnectionFileUnusable("it is no plain file")
        if status.st_uid != os.getuid():
            raise ConnectionFileUnusable("it belongs to somebody else")
        if status.st_size > _LARGEST:
            raise ConnectionFileUnusable(f"it is too large ({status.st_size} bytes)")
        return os.read(descriptor, _LARGEST)
    except OSError as error:
        raise ConnectionFileUnusable(_because(error)) from error
    finally:
        os.close(descriptor)


def _parse(path: Path, content: Any) -> ConnectionInfo:
    if not isinstance(content, dict):
        raise ConnectionFileUnusable("it is no connection file")
    transport = content.get("transport", "tcp")
    if transport not in ("tcp", "ipc"):
        raise ConnectionFileUnusable(f"its transport is {_shown(transport)}")
    ports = {channel: _port(content, channel) for channel in CHANNELS}
    ip = content.get("ip", "")
    if not isinstance(ip, str) or "\0" in ip:
        raise ConnectionFileUnusable("its ip is no text")
    if transport == "tcp":
        ip = _numeric(ip)
    key = content.get("key", "")
    if not isinstance(key, str):
        raise ConnectionFileUnusable("its key is no text")
    scheme = content.get("signature_scheme", "hmac-sha256")
    if key and scheme != "hmac-sha256":
        raise ConnectionFileUnusable(f"its signature_scheme is {_shown(scheme)}")
    name = content.get("kernel_name", "")
    return ConnectionInfo(
        path=path,
        transport=transport,
        ip=ip,
        ports=ports,
        key=key.encode("utf-8", "surrogatepass"),
        kernel_name=name if isinstance(name, str) else "",
    )


def _port(content: dict[str, Any], channel: str) -> int:
    port = content.get(f"{channel}_port")
    if not isinstance(port, int) or not 0 < port < 65_536:
        raise ConnectionFileUnusable(f"its {channel}_port is {_shown(port)}")
    return port


def _numeric(ip: str) -> str:
    """An address that can be connected to without asking anybody for it."""
    ip = _HERE.get(ip, ip)
    try:
        return str(ipaddress.ip_address(ip))
    except ValueError:
        raise ConnectionFileUnusable(f"its ip is {_shown(ip)}") from None


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:40]


def _because(error: OSError) -> str:
    return f"it can't be read: {error.strerror or error}"
