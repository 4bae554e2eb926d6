"""Whether anybody listens where a connection file says, without a word of ZMQ.

Most files that lie around are those of kernels long gone, and their ports refuse at once: what is
found out here need not be asked with time limits, nor with a library that takes long to load.
"""

from __future__ import annotations

import errno
import resource
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, TypeAlias

from runtimed.jupyter.connection_files import ConnectionInfo

__all__ = ["Door", "knock", "sockets_at_once"]

#: `open`: somebody listens; `closed`: nobody does; `silent`: no answer came in time.
Door: TypeAlias = Literal["open", "closed", "silent"]

_CLOSED = {errno.ECONNREFUSED, errno.ENOENT, errno.ENOTDIR}


def knock(
    kernels: Iterable[ConnectionInfo], deadline: float, channel: str = "hb"
) -> Iterator[tuple[ConnectionInfo, Door]]:
    """Look at one channel of each kernel, all at the same time. Blocks until the deadline at most.

    Units: deadline by `time.monotonic`.
    """
    rest = iter(kernels)
    while batch := list(islice(rest, sockets_at_once(1))):
        yield from _knock_together(batch, deadline, channel)


def sockets_at_once(each: int) -> int:
    """How many kernels may be looked at together if each takes so many descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = 4096
    return max(8, min((soft - 128) // each, 500))


def _knock_together(
    kernels: Sequence[ConnectionInfo], deadline: float, channel: str
) -> Iterator[tuple[ConnectionInfo, Door]]:
    poller = select.poll()
    waiting: dict[int, tuple[socket.socket, ConnectionInfo]] = {}
    try:
        for kernel in kernels:
            door, sock = _begin(kernel, channel)
            if sock is None:
                yield kernel, door
            else:
                waiting[sock.fileno()] = (sock, kernel)
                poller.register(sock, select.POLLOUT)
        while waiting:
            left = max(deadline - time.monotonic(), 0.0)
            ready = poller.poll(left * 1000)
            for descriptor, _ in ready:
                poller.unregister(descriptor)
                sock, kernel = waiting.pop(descriptor)
                with sock:
                    yield kernel, _door(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            if not ready and time.monotonic() >= deadline:
                break
        for _, kernel in waiting.values():
            yield kernel, "silent"
    finally:
        for sock, _ in waiting.values():
            sock.close()


def _begin(kernel: ConnectionInfo, channel: str) -> tuple[Door, socket.socket | None]:
    """Start to connect; the socket while that is under way, else how it ended."""
    if kernel.transport == "ipc":
        family, target = socket.AF_UNIX, kernel.socket_path(channel)
    else:
        family = socket.AF_INET6 if ":" in kernel.ip else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        code = sock.connect_ex(
            target if kernel.transport == "ipc" else (kernel.ip, kernel.ports[channel])
        )
    except (OSError, ValueError):  # a path that is too long for a socket
        sock.close()
        return "closed", None
    if code == errno.EINPROGRESS:
        return "silent", sock
    with sock:
        return _door(sock, code), None


def _door(sock: socket.socket, code: int) -> Door:
    if code in _CLOSED:
        return "closed"
    if code == 0:
        # A port of the range that programs get theirs from may be the one we were given ourselves.
        mine = sock.family != socket.AF_UNIX and sock.getsockname() == sock.getpeername()
        return "closed" if mine else "open"
    # A listener whose queue is full, on a Unix socket, says "again".
    return "open" if code in (errno.EAGAIN, errno.EWOULDBLOCK) else "silent"
