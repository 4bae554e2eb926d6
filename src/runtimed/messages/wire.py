"""The Jupyter messaging wire format: frames in, messages out, and back.

Knows signatures and JSON, nothing of sockets. The caller supplies the time, since a core reads no
clock.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import attrs
import orjson

from runtimed.errors import RemoteProtocolError

__all__ = ["DELIMITER", "Message", "WireFormat"]

DELIMITER = b"<IDS|MSG>"
_VERSION = "5.3"


@attrs.frozen
class Message:
    """One message from a kernel.

    `parent_id` is the id of the request it belongs to, "" when it belongs to none.
    """

    msg_type: str
    msg_id: str
    parent_id: str
    content: dict[str, Any]
    metadata: dict[str, Any]
    buffers: Sequence[bytes]


class WireFormat:
    """Signs what is sent to one kernel and checks what comes back.

    Shape: identities, delimiter, HMAC-SHA256 hex digest, header, parent header, metadata, content,
    buffers.
    Source: Jupyter messaging specification 5.3, "The wire protocol".
    """

    def __init__(self, key: bytes, session: str, username: str = "runtimed") -> None:
        self._mac = hmac.new(key, digestmod=hashlib.sha256) if key else None
        self._session = session
        self._username = username
        self._count = 0

    def request(self, msg_type: str, content: Any, date: str) -> tuple[str, list[bytes]]:
        """A new message of ours: its id and its frames. `date` is ISO 8601 with a time zone."""
        self._count += 1
        msg_id = f"{self._session}_{self._count}"
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "session": self._session,
            "username": self._username,
            "date": date,
            "version": _VERSION,
        }
        return msg_id, self._frames(header, content, {}, ())

    def forward(
        self, header: dict[str, Any], content: Any, metadata: Any, buffers: Sequence[bytes]
    ) -> list[bytes]:
        """Frames of a message whose header somebody else made (widget traffic of a front end)."""
        return self._frames(header, content, metadata, buffers)

    def _frames(
        self, header: Any, content: Any, metadata: Any, buffers: Sequence[bytes]
    ) -> list[bytes]:
        parts = [orjson.dumps(header), b"{}", orjson.dumps(metadata), orjson.dumps(content)]
        return [DELIMITER, self._sign(parts), *parts, *buffers]

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        if self._mac is None:
            return b""
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    def parse(self, frames: Sequence[bytes]) -> Message:
        """Read the frames of one message.

        Raises: RemoteProtocolError for frames that are no message or whose signature is wrong.
        """
        try:
            start = frames.index(DELIMITER) + 1
            signature, *parts = frames[start : start + 5]
            if len(parts) != 4:
                raise ValueError(f"{len(parts)} of 4 parts")
        except ValueError as error:
            raise RemoteProtocolError(f"not a Jupyter message: {error}") from error
        if not hmac.compare_digest(self._sign(parts), signature):
            raise RemoteProtocolError("a Jupyter message has a wrong signature")
        header, parent, metadata, content = (_loads(part) for part in parts)
        return Message(
            msg_type=str(header.get("msg_type", "")),
            msg_id=str(header.get("msg_id", "")),
            parent_id=str(parent.get("msg_id", "")),
            content=content,
            metadata=metadata,
            buffers=frames[start + 5 :],
        )


def _loads(part: bytes) -> dict[str, Any]:
    if part == b"{}":  # most metadata
        return {}
    try:
        value = orjson.loads(part)
    except orjson.JSONDecodeError:
        # Kernels in Python may send NaN and lone surrogates, which strict JSON has not.
        try:
            value = json.loads(part.decode("utf-8", "replace"))
        except ValueError as error:
            raise RemoteProtocolError(f"a Jupyter message holds broken JSON: {error}") from error
    if not isinstance(value, dict):
        raise RemoteProtocolError("a part of a Jupyter message is not an object")
    return value
