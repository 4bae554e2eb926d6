from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol.frames import (
    MAX_FRAME,
    MAX_HANDSHAKE,
    FrameKind,
    FrameReader,
    encode_frame,
    encode_typed,
)


class FakePayload(bytes):
    """A payload that claims a length without having it."""

    claimed = 0

    def __len__(self) -> int:
        return self.claimed


def claiming(length: int) -> FakePayload:
    payload = FakePayload()
    payload.claimed = length
    return payload


def frames_of(reader: FrameReader) -> list[bytes]:
    found = []
    while (frame := reader.next_frame()) is not None:
        found.append(frame)
    return found


def test_a_frame_is_its_length_in_big_endian_and_its_payload() -> None:
    assert encode_frame(b"") == bytes.fromhex("00000000")
    assert encode_frame(b"abc") == bytes.fromhex("00000003") + b"abc"
    assert encode_frame(bytes(258))[:4] == bytes.fromhex("00000102")


def test_the_length_of_a_typed_frame_counts_its_type_byte() -> None:
    assert encode_typed(FrameKind.SYNC, b"") == bytes.fromhex("0000000100")
    assert encode_typed(FrameKind.PRESENCE, b"ab") == bytes.fromhex("0000000304") + b"ab"


def test_a_frame_of_the_largest_size_may_be_sent_and_one_byte_more_may_not() -> None:
    assert encode_frame(claiming(MAX_FRAME))[:4] == MAX_FRAME.to_bytes(4, "big")
    with pytest.raises(
        LocalProtocolError,
        match=r"^frame too large to send: 104857601 bytes \(max 104857600\)$",
    ):
        encode_frame(claiming(MAX_FRAME + 1))


def test_the_type_byte_counts_against_the_largest_size() -> None:
    sent = encode_typed(FrameKind.SYNC, claiming(MAX_FRAME - 1))
    assert sent[:5] == MAX_FRAME.to_bytes(4, "big") + b"\0"
    with pytest.raises(LocalProtocolError, match="104857601 bytes"):
        encode_typed(FrameKind.SYNC, claiming(MAX_FRAME))


@pytest.mark.parametrize("limit", [MAX_HANDSHAKE, MAX_FRAME])
def test_one_byte_over_the_limit_is_refused_before_any_of_the_payload_is_there(limit: int) -> None:
    reader = FrameReader(limit)
    reader.receive_data((limit + 1).to_bytes(4, "big"))
    with pytest.raises(RemoteProtocolError, match=rf"^frame too large: {limit + 1} bytes \(max"):
        reader.next_frame()


@pytest.mark.parametrize("limit", [MAX_HANDSHAKE, MAX_FRAME])
def test_exactly_the_limit_is_accepted(limit: int) -> None:
    reader = FrameReader(limit)
    reader.receive_data(limit.to_bytes(4, "big"))
    assert reader.next_frame() is None


def test_a_frame_of_65536_bytes_comes_out_whole() -> None:
    reader = FrameReader(MAX_HANDSHAKE)
    payload = bytes(range(256)) * 256
    reader.receive_data(encode_frame(payload))
    assert reader.next_frame() == payload


def test_the_limit_can_change_between_frames() -> None:
    reader = FrameReader(2)
    reader.receive_data(encode_frame(b"ab") + encode_frame(b"abc"))
    assert reader.next_frame() == b"ab"
    reader.limit = 3
    assert reader.next_frame() == b"abc"


@pytest.mark.parametrize("received", [0, 1, 2, 3])
def test_an_end_before_or_inside_the_length_is_a_clean_one(received: int) -> None:
    reader = FrameReader()
    reader.receive_data(encode_frame(b"last") + bytes(received))
    reader.receive_data(b"")
    assert not reader.ended
    assert reader.next_frame() == b"last"
    assert reader.next_frame() is None
    assert reader.ended


@pytest.mark.parametrize("received", [4, 5, 6])
@pytest.mark.parametrize("looked_before", [False, True])
def test_an_end_inside_the_payload_is_a_fault(received: int, looked_before: bool) -> None:
    reader = FrameReader()
    reader.receive_data(encode_frame(b"abc")[:received])
    if looked_before:
        assert reader.next_frame() is None
    reader.receive_data(b"")
    assert not reader.ended
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match=r"^connection closed inside a frame$"):
            reader.next_frame()


def test_nothing_comes_after_the_end() -> None:
    reader = FrameReader()
    reader.receive_data(b"")
    reader.receive_data(b"")
    with pytest.raises(LocalProtocolError):
        reader.receive_data(b"x")


def test_a_frame_without_a_type_byte_is_a_fault() -> None:
    reader = FrameReader()
    reader.receive_data(encode_frame(b""))
    with pytest.raises(RemoteProtocolError, match=r"^empty frame$"):
        reader.next_typed_frame()


def test_a_typed_frame_may_have_no_body() -> None:
    reader = FrameReader()
    reader.receive_data(encode_typed(FrameKind.PRESENCE, b""))
    assert reader.next_typed_frame() == (4, b"")


def test_mutable_buffers_may_be_reused_by_who_gave_them() -> None:
    reader = FrameReader()
    buffer = bytearray(encode_frame(b"abc"))
    reader.receive_data(memoryview(buffer)[:5])
    reader.receive_data(buffer[5:])
    buffer[:] = bytes(len(buffer))
    assert reader.next_frame() == b"abc"


@settings(deadline=None)
@given(
    payloads=st.lists(st.binary(max_size=3000), max_size=6),
    cuts=st.lists(st.integers(0, 20000), max_size=30),
    typed=st.booleans(),
    eager=st.booleans(),
)
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    payloads: list[bytes], cuts: list[int], typed: bool, eager: bool
) -> None:
    if typed:
        stream = b"".join(encode_typed(FrameKind.RESPONSE, payload) for payload in payloads)
    else:
        stream = b"".join(map(encode_frame, payloads))
    reader = FrameReader()
    found: list[bytes] = []

    def take() -> None:
        while True:
            if typed:
                frame = reader.next_typed_frame()
                if frame is None:
                    return
                kind, body = frame
                assert kind == FrameKind.RESPONSE
                found.append(body)
            else:
                body_only = reader.next_frame()
                if body_only is None:
                    return
                found.append(body_only)

    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        if start != end:
            reader.receive_data(stream[start:end])
        if eager:
            take()
    take()
    assert found == payloads
    assert reader.available == 0
    reader.receive_data(b"")
    assert reader.ended


@settings(deadline=None)
@given(data=st.binary(max_size=40), count=st.integers(1, 9), piece=st.integers(1, 9))
def test_peeking_leaves_the_bytes_where_they_are(data: bytes, count: int, piece: int) -> None:
    reader = FrameReader()
    for start in range(0, len(data), piece):
        reader.receive_data(data[start : start + piece])
    assert reader.peek(count) == data[:count]
    assert reader.peek(count) == data[:count]
    assert reader.available == len(data)
    assert reader.take(len(data)) == data


def test_a_frame_that_is_a_whole_piece_is_not_copied() -> None:
    reader = FrameReader()
    payload = bytes(2000)
    reader.receive_data(len(payload).to_bytes(4, "big"))
    reader.receive_data(payload)
    assert reader.next_frame() is payload


@pytest.mark.parametrize("piece", [65_536, 100])
def test_a_large_frame_costs_no_more_than_its_size(piece: int) -> None:
    def seconds(size: int) -> float:
        data = bytes(piece)
        reader = FrameReader(MAX_FRAME)
        start = time.process_time()
        reader.receive_data(size.to_bytes(4, "big"))
        for _ in range(size // piece):
            assert reader.next_frame() is None
            reader.receive_data(data)
        frame = reader.next_frame()
        assert frame is not None
        assert len(frame) == size
        return time.process_time() - start

    small = piece * (16 if piece > 1000 else 2000)
    few = min(seconds(small) for _ in range(3))
    many = min(seconds(small * 16) for _ in range(2))
    assert many < max(few, 0.0005) * 16 * 8  # quadratic cost would be at 256 times


def test_many_small_frames_in_one_piece_are_cheap() -> None:
    def seconds(frames: int) -> float:
        reader = FrameReader()
        stream = encode_frame(b"x" * 30) * frames
        start = time.process_time()
        reader.receive_data(stream)
        assert len(frames_of(reader)) == frames
        return time.process_time() - start

    few = min(seconds(2_000) for _ in range(3))
    many = min(seconds(32_000) for _ in range(2))
    assert many < max(few, 0.0005) * 16 * 8
