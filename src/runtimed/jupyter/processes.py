"""Which process a connection file's kernel is.

Two signs: it listens where the file says, or it has the file on its command line. Only the first
proves anything, for an editor or another console has the file on its command line, too. On Linux
/proc tells, elsewhere lsof and ps.
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs

from runtimed.jupyter.connection_files import CHANNELS, ConnectionInfo

__all__ = ["KernelProcess", "find_processes"]

#: State LISTEN in /proc/net/tcp, and the flag of listening sockets in /proc/net/unix.
_LISTEN = "0A"
_ACCEPTS = 0x10000

#: Seconds for lsof or ps, which look at every process.
_TOOL_LIMIT = 5.0


_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

#: A connection file and the name of a channel.
_Channel: TypeAlias = tuple[Path, str]


@attrs.frozen
class KernelProcess:
    """A process of this user that seems to be a kernel. `listens`: it is, for it has the ports."""

    pid: int
    listens: bool


def find_processes(
    kernels: Sequence[ConnectionInfo], *, proc: Path | None = None
) -> dict[Path, KernelProcess]:
    """The processes of these kernels, by connection file; kernels without one are left out.

    proc: where to look, instead of this system's own place; for a system without /proc, a folder
    that does not exist.
    """
    proc = proc or Path("/proc" if sys.platform == "linux" else "/no-proc")
    if not kernels:
        return {}
    if proc.is_dir():
        commands, listeners = _commands_of_proc(proc), _listeners_of_proc(proc, kernels)
    else:
        commands, listeners = _commands_of_ps(), _listeners_of_lsof(kernels)
    files = {os.fsencode(os.path.abspath(kernel.path)): kernel.path for kernel in kernels}  # noqa: PTH100
    files |= {os.fsencode(kernel.path.resolve()): kernel.path for kernel in kernels}
    found = {path: KernelProcess(pid, False) for pid, path in _with_file(commands, files)}
    # What listens wins over what only names the file.
    found |= {path: KernelProcess(pid, True) for path, pid in listeners.items()}
    return found


def _with_file(
    commands: Iterable[tuple[int, Sequence[bytes]]], files: Mapping[bytes, Path]
) -> Iterator[tuple[int, Path]]:
    for pid, words in commands:
        for word in words:
            path = files.get(word) or files.get(word.partition(b"=")[2])
            if path is not None and pid != os.getpid():
                yield pid, path
                break


class _Sockets:
    """What is looked for: by port for TCP, by the socket's file for ipc."""

    def __init__(self, kernels: Sequence[ConnectionInfo]) -> None:
        self.by_port: dict[int, list[tuple[_Address, _Channel]]] = {}
        self.by_path: dict[str, _Channel] = {}
        for kernel in kernels:
            for channel, port in kernel.ports.items():
                if kernel.transport == "ipc":
                    self.by_path[kernel.socket_path(channel)] = (kernel.path, channel)
                else:
                    place = (ipaddress.ip_address(kernel.ip), (kernel.path, channel))
                    self.by_port.setdefault(port, []).append(place)

    def at(self, ip: _Address, port: int) -> Iterator[_Channel]:
        """The channels that a listener at this place may be."""
        for address, channel in self.by_port.get(port, ()):
            if ip.is_unspecified or ip == address:
                yield channel


def _holders_of_all(held: Iterable[tuple[int, _Channel]]) -> dict[Path, int]:
    """The process that has all channels of a kernel. One port alone may have been given to another
    kernel since. Where children have inherited them, it is the one with the smallest number."""
    channels: dict[tuple[Path, int], set[str]] = {}
    for pid, (path, channel) in held:
        channels.setdefault((path, pid), set()).add(channel)
    found: dict[Path, int] = {}
    for (path, pid), names in channels.items():
        if len(names) == len(CHANNELS):
            found[path] = min(pid, found.get(path, pid))
    return found


# ---------------------------------------------------------------------- Linux


def _commands_of_proc(proc: Path) -> Iterator[tuple[int, Sequence[bytes]]]:
    for pid in _own_processes(proc):
        try:
            yield pid, (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue


def _own_processes(proc: Path) -> Iterator[int]:
    mine = os.getuid()
    with os.scandir(proc) as entries:
        for entry in entries:
            try:
                if entry.name.isdigit() and entry.stat().st_uid == mine:
                    yield int(entry.name)
            except OSError:
                continue


def _listeners_of_proc(proc: Path, kernels: Sequence[ConnectionInfo]) -> dict[Path, int]:
    sockets = _Sockets(kernels)
    inodes: dict[str, list[_Channel]] = {}
    for table in ("tcp", "tcp6") if sockets.by_port else ():
        for ip, port, inode in _listening(proc / "net" / table):
            inodes.setdefault(inode, []).extend(sockets.at(ip, port))
    for path, inode in _accepting(proc / "net" / "unix") if sockets.by_path else ():
        if (channel := sockets.by_path.get(path)) is not None:
            inodes.setdefault(inode, []).append(channel)
    wanted = {f"socket:[{inode}]": channels for inode, channels in inodes.items() if channels}
    if not wanted:
        return {}
    held: list[tuple[int, _Channel]] = []
    for pid in _own_processes(proc):
        try:
            with os.scandir(proc / str(pid) / "fd") as entries:
                links = [os.readlink(entry.path) for entry in entries]  # noqa: PTH115
        except OSError:
            continue
        held += [(pid, channel) for link in links for channel in wanted.get(link, ())]
    return _holders_of_all(held)


def _listening(table: Path) -> Iterator[tuple[_Address, int, str]]:
    """Source: proc(5), /proc/net/tcp: local address in hexadecimal, state, uid, inode."""
    mine = str(os.getuid())
    for fields in _rows(table):
        if len(fields) > 9 and fields[3] == _LISTEN and fields[7] == mine:
            address, _, port = fields[1].partition(":")
            words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
            yield ipaddress.ip_address(b"".join(words)), int(port, 16), fields[9]


def _accepting(table: Path) -> Iterator[tuple[str, str]]:
    """Source: proc(5), /proc/net/unix: flags, type, state, inode, path."""
    for fields in _rows(table):
        if len(fields) > 7 and int(fields[3], 16) & _ACCEPTS:
            yield " ".join(fields[7:]), fields[6]


def _rows(table: Path) -> Iterator[list[str]]:
    try:
        text = table.read_text("utf-8", "surrogateescape")
    except OSError:
        return
    for line in text.splitlines()[1:]:
        yield line.split()


# ---------------------------------------------------------------------- elsewhere


def _commands_of_ps() -> Iterator[tuple[int, Sequence[bytes]]]:
    for line in _output("ps", "-U", str(os.getuid()), "-xww", "-o", "pid=,command=").splitlines():
        pid, _, command = line.strip().partition(b" ")
        if pid.isdigit():
            yield int(pid), command.split()


def _listeners_of_lsof(kernels: Sequence[ConnectionInfo]) -> dict[Path, int]:
    """Source: lsof(8), output for other programs: a letter, then a value; `p` begins a process."""
    sockets = _Sockets(kernels)
    user = ("-a", "-u", str(os.getuid()))
    text = b""
    if sockets.by_port:
        text += _output("lsof", "-w", "-nP", *user, "-iTCP", "-sTCP:LISTEN", "-Fpn")
    if sockets.by_path:
        text += _output("lsof", "-w", "-nP", *user, "-U", "-Fpn")
    held: list[tuple[int, _Channel]] = []
    pid = 0
    for line in os.fsdecode(text).splitlines():
        if line.startswith("p") and line[1:].isdigit():
            pid = int(line[1:])
        elif line.startswith("n"):
            held += [(pid, channel) for channel in _named(sockets, line[1:])]
    return _holders_of_all(held)


def _named(sockets: _Sockets, name: str) -> Sequence[_Channel]:
    """What lsof calls a socket: `*:80`, `127.0.0.1:80`, `[::1]:80`, or a path."""
    channel = sockets.by_path.get(name.partition(" type=")[0])
    if channel is not None:
        return [channel]
    host, _, port = name.rpartition(":")
    if not port.isdigit():
        return []
    try:
        ip = ipaddress.ip_address("0.0.0.0" if host == "*" else host.strip("[]"))
    except ValueError:
        return []
    return list(sockets.at(ip, int(port)))


def _output(*command: str) -> bytes:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TOOL_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout
