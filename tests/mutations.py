"""Valid conversations gone wrong: frames cut, doubled and swapped, bytes changed, lengths that lie,
JSON and CBOR with other values in place of the right ones, and bombs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import cbor2
import orjson
from hypothesis import strategies as st

__all__ = ["BOMBS", "STRANGE", "mutated"]

#: What stands in for a right value.
STRANGE: list[Any] = [
    None, True, False, -1, 0, 2**31, 2**53, 2**63, 2**64 - 1, 0.5, 1e308, "", "\0", "x" * 70_000,
    "\u2028\u202e", "\ufffe", [], {}, [None], [[]], {"a": {}}, [0] * 5000, {"": {"": {"": []}}},
    "/nonexistent/a\0b", "../..", "daemon", [255, 256, -1], "not_a_status", "~",
]  # fmt: skip

#: Bodies that are small to send and would be large, deep or endless to take in.
BOMBS: list[bytes] = [
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"action":"get_queue_state","x":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"action":"execute_cell","cell_id":"nowhere","x":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    b'{"action":"get_queue_state","id":' + b"9" * 100_000 + b"}",
    b'{"action":"get_queue_state","id":1e999999}',
    b'{"action":"get_queue_state","id":"\\ud800"}',
    b'{"action":"get_queue_state","action":7}',
    b'{"type":"ping","id":[[[[]]]]}',
    b'{"type":"ping","id":-0}',
    b'{"action":"get_port","action":"store"}',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b'"' + b"\\u0000" * 20_000 + b'"',
    b"\x81" * 4000,
    b"\x9f" * 4000,
    b"\xa1\x61a" * 1300,
    b"\x9b" + b"\x7f" * 8,
    b"\xbb" + b"\xff" * 8 + b"\x61a\x00",
    b"\x5b" + b"\x7f" * 8 + b"x",
    b"\xc5\x82\x1b" + b"\x0f" * 8 + b"\x01",
    b"\xc2\x59\x0f\x00" + b"\xff" * 0xF00,
    b"\xd8\x23\x79\x0f\x00" + b"(a*)*" * 768,
    b"\xd8\x1c\x81\xd8\x1d\x00",
    b"\x42\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x42\x00\x00" + b"\xff\xff\xff\xff\x0f" * 20,
    b"\x43" + b"\x80" * 4000,
]

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def mutated(draw: Draw, conversation: Sequence[bytes], first: int = 0) -> bytes:
    """The bytes of a conversation with one to three things wrong in it.

    `conversation` is the payloads of its frames; those before `first` stay as they are.
    """
    frames = [(len(payload), payload) for payload in conversation]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(first, len(frames) - 1)) if len(frames) > first else first
        change = draw(st.sampled_from(_CHANGES))
        change(draw, frames, at)
    data = b"".join(struct.pack(">I", size % 2**32) + payload for size, payload in frames)
    if draw(st.integers(0, 5)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    return data


Frames = list[tuple[int, bytes]]


def _whole(payload: bytes) -> tuple[int, bytes]:
    return len(payload), payload


def _flip(draw: Draw, frames: Frames, at: int) -> None:
    data = bytearray(frames[at][1])
    for _ in range(draw(st.integers(1, 4)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    frames[at] = _whole(bytes(data))


def _cut(draw: Draw, frames: Frames, at: int) -> None:
    data = frames[at][1]
    frames[at] = _whole(data[: draw(st.integers(0, len(data)))])


def _remove_slice(draw: Draw, frames: Frames, at: int) -> None:
    data = frames[at][1]
    start = draw(st.integers(0, len(data)))
    frames[at] = _whole(data[:start] + data[start + draw(st.integers(1, 20)) :])


def _double_slice(draw: Draw, frames: Frames, at: int) -> None:
    data = frames[at][1]
    start = draw(st.integers(0, len(data)))
    end = start + draw(st.integers(1, 40))
    frames[at] = _whole(data[:end] + data[start:])


def _double(draw: Draw, frames: Frames, at: int) -> None:
    frames.insert(at, frames[at])


def _swap(draw: Draw, frames: Frames, at: int) -> None:
    if at + 1 < len(frames):
        frames[at : at + 2] = reversed(frames[at : at + 2])


def _lie(draw: Draw, frames: Frames, at: int) -> None:
    size, data = frames[at]
    other = draw(
        st.sampled_from([0, 1, 65_536, 65_537, 2**24, 104_857_600, 104_857_601, 2**32 - 1])
        | st.integers(-8, 8).map(lambda difference: max(0, size + difference))
    )
    frames[at] = (other, data)


def _another_kind(draw: Draw, frames: Frames, at: int) -> None:
    frames[at] = _whole(bytes([draw(st.integers(0, 255))]) + frames[at][1][1:])


def _bomb(draw: Draw, frames: Frames, at: int) -> None:
    kind = draw(st.sampled_from([b"", *(bytes([kind]) for kind in range(6))]))
    frames[at] = _whole(kind + draw(st.sampled_from(BOMBS)))


def _other_value(draw: Draw, frames: Frames, at: int) -> None:
    """Another value somewhere in a frame of JSON or CBOR, whichever it is."""
    payload = frames[at][1]
    for prefix in (0, 1):
        for load, dump in ((orjson.loads, orjson.dumps), (cbor2.loads, cbor2.dumps)):
            try:
                content = load(payload[prefix:])
            except (ValueError, cbor2.CBORError):
                continue
            if isinstance(content, dict):
                _change_value(draw, content)
                try:
                    frames[at] = _whole(payload[:prefix] + dump(content))
                except TypeError:  # deeper than can be written, as bombs are
                    break
                return
    _flip(draw, frames, at)


def _change_value(draw: Draw, content: Any) -> None:
    while isinstance(content, (dict, list)) and content:
        keys = sorted(content, key=repr) if isinstance(content, dict) else range(len(content))
        key = draw(st.sampled_from(keys))
        inner = content[key]
        if isinstance(inner, (dict, list)) and inner and draw(st.booleans()):
            content = inner
            continue
        how = draw(st.integers(0, 4))
        if how == 0:
            del content[key]
        elif how == 1 and isinstance(content, dict):
            content["another"] = draw(st.sampled_from(STRANGE))
        else:
            content[key] = draw(st.sampled_from(STRANGE))
        return


_CHANGES = [
    _flip,
    _cut,
    _remove_slice,
    _double_slice,
    _double,
    _swap,
    _lie,
    _another_kind,
    _bomb,
    _other_value,
    _other_value,
    _other_value,
]
