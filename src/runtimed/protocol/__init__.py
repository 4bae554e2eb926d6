"""The wire protocol between clients and the daemon: frames, messages and one connection's state.

Pure: bytes and values in, bytes and values out. Message classes live in modules used as namespaces:
`requests`, `responses`, `broadcasts`, `progress`, `pool`, `blob`, `handshake` and `events`.
"""

from __future__ import annotations

from runtimed.protocol.connection import (
    CLIENT,
    DAEMON,
    NEED_DATA,
    Connection,
    NeedData,
    Role,
)
from runtimed.protocol.convert import encode_broadcast
from runtimed.protocol.frames import MAX_FRAME, MAX_HANDSHAKE, FrameKind

__all__ = [
    "CLIENT",
    "DAEMON",
    "MAX_FRAME",
    "MAX_HANDSHAKE",
    "NEED_DATA",
    "Connection",
    "FrameKind",
    "NeedData",
    "Role",
    "encode_broadcast",
]
