"""Writing to a socket without waiting: what both ends of a connection do first.

A write that need not wait needs neither a deadline nor a turn of the loop, and few need to wait.
"""

from __future__ import annotations

import os

import trio

__all__ = ["write_at_once"]


def write_at_once(stream: trio.abc.Stream, data: bytes | memoryview) -> int:
    """How much of `data` the stream has taken without waiting; the rest is for its `send_all`.

    Special cases: 0 for streams that are no sockets, and for one that is broken: sending in the
    ordinary way then finds out why. Nobody else may be sending meanwhile.
    """
    if not isinstance(stream, trio.SocketStream):
        return 0
    try:
        return os.write(stream.socket.fileno(), data)
    except OSError:
        return 0
