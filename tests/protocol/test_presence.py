"""Presence bodies: the published vectors, other encodings of the same, and what is refused."""

from __future__ import annotations

import random
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.errors import LocalProtocolError, RemoteProtocolError
from runtimed.protocol.presence import (
    KERNEL_STATES,
    MAX_BODY,
    ChannelData,
    Cursor,
    Custom,
    Heartbeat,
    KernelState,
    Left,
    PeerState,
    PresenceBody,
    Selection,
    Snapshot,
    Update,
    channel_of,
    clean_label,
    decode,
    encode,
    snapshot_size,
)

VECTORS: list[tuple[str, PresenceBody]] = [
    (
        "bf64747970656675706461746567706565725f6964627031676368616e6e656c66637572736f726464617461"
        "a36763656c6c5f6964626331646c696e650366636f6c756d6e07ff",
        Update("p1", Cursor("c1", 3, 7)),
    ),
    (
        "bf64747970656675706461746567706565725f6964666461656d6f6e676368616e6e656c6c6b65726e656c5f"
        "73746174656464617461a2667374617475736469646c656a656e765f736f757263656c75763a707265776172"
        "6d6564ff",
        Update("daemon", KernelState("idle", "uv:prewarmed")),
    ),
    ("a26474797065646c65667467706565725f6964627031", Left("p1")),
    ("a264747970656968656172746265617467706565725f6964627031", Heartbeat("p1")),
    (
        "a3647479706568736e617073686f7467706565725f6964666461656d6f6e65706565727381a367706565725f"
        "69646270326a706565725f6c6162656c6568756d616e686368616e6e656c7381a2676368616e6e656c666375"
        "72736f726464617461a36763656c6c5f6964626331646c696e650066636f6c756d6e00",
        Snapshot("daemon", [PeerState("p2", "human", [Cursor("c1", 0, 0)])]),
    ),
]

texts = st.text(max_size=12)
numbers = st.integers(0, 2**32 - 1)
channel_data: st.SearchStrategy[ChannelData] = st.one_of(
    st.builds(Cursor, texts, numbers, numbers),
    st.builds(Selection, texts, numbers, numbers, numbers, numbers),
    st.builds(KernelState, st.sampled_from(sorted(KERNEL_STATES)), texts),
    st.builds(Custom, st.lists(st.integers(0, 2**64 - 1), max_size=9)),
)
peer_states = st.builds(PeerState, texts, texts.filter(bool), st.lists(channel_data, max_size=4))
bodies: st.SearchStrategy[PresenceBody] = st.one_of(
    st.builds(Update, texts, channel_data, st.none() | texts),
    st.builds(Snapshot, texts, st.lists(peer_states, max_size=5)),
    st.builds(Left, texts),
    st.builds(Heartbeat, texts),
)


@pytest.mark.parametrize(("data", "body"), VECTORS)
def test_the_published_vectors_hold_in_both_directions(data: str, body: PresenceBody) -> None:
    assert encode(body).hex() == data
    assert decode(bytes.fromhex(data)) == body


@settings(deadline=None)
@given(bodies)
def test_a_body_is_read_as_it_was_written(body: PresenceBody) -> None:
    assert decode(encode(body)) == body


@settings(deadline=None)
@given(bodies, st.integers(0, 2**32))
def test_a_body_is_read_in_every_other_encoding_of_the_same(body: PresenceBody, seed: int) -> None:
    assert decode(reencoded(cbor2.loads(encode(body)), random.Random(seed))) == body


def test_a_body_may_say_that_it_is_cbor() -> None:
    assert decode(b"\xd9\xd9\xf7" + encode(Left("p1"))) == Left("p1")


def reencoded(value: Any, dice: random.Random) -> bytes:
    """CBOR of the same, with definite or indefinite containers, any key order, unknown keys."""
    if isinstance(value, dict):
        items = [*value.items(), ("unknown", [1, [None], "x"])]
        dice.shuffle(items)
        parts = [cbor2.dumps(key) + reencoded(item, dice) for key, item in items]
        return container(0xA0, parts, dice)
    if isinstance(value, list):
        return container(0x80, [reencoded(item, dice) for item in value], dice)
    if isinstance(value, int) and value < 256 and dice.random() < 0.5:
        return b"\x1b" + value.to_bytes(8, "big")  # longer than it need be
    if isinstance(value, str) and dice.random() < 0.3:
        pieces = [cbor2.dumps(letter) for letter in value]
        return b"\x7f" + b"".join(pieces) + b"\xff"
    return cbor2.dumps(value)


def container(kind: int, parts: list[bytes], dice: random.Random) -> bytes:
    if dice.random() < 0.5:
        return bytes([kind | 0x1F]) + b"".join(parts) + b"\xff"
    return bytes([kind | 0x1A]) + len(parts).to_bytes(4, "big") + b"".join(parts)


def test_an_unknown_channel_of_a_peer_in_a_snapshot_leaves_the_rest_readable() -> None:
    raw = cbor2.loads(bytes.fromhex(VECTORS[4][0]))
    raw["peers"][0]["channels"].insert(0, {"channel": "viewport", "data": [1, 2]})
    assert decode(cbor2.dumps(raw)) == VECTORS[4][1]


def test_a_peer_in_a_snapshot_without_a_label_is_called_peer() -> None:
    raw = cbor2.loads(bytes.fromhex(VECTORS[4][0]))
    del raw["peers"][0]["peer_label"]
    assert decode(cbor2.dumps(raw)).peers[0].label == "peer"  # type: ignore[union-attr]


def changed(**changes: Any) -> bytes:
    raw = {"type": "update", "peer_id": "p", "channel": "cursor", "data": CURSOR} | changes
    return cbor2.dumps({key: value for key, value in raw.items() if value is not ...})


CURSOR = {"cell_id": "c", "line": 1, "column": 2}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\xff", id="a lone break"),
        pytest.param(b"\x80", id="no map"),
        pytest.param(b"{}", id="JSON"),
        pytest.param(cbor2.dumps({1: 2}), id="a key that is no text"),
        pytest.param(changed(type="goodbye"), id="unknown type"),
        pytest.param(changed(type=...), id="no type"),
        pytest.param(changed(peer_id=...), id="no peer id"),
        pytest.param(changed(peer_id=7), id="a number for a peer id"),
        pytest.param(changed(peer_label=7), id="a number for a label"),
        pytest.param(changed(channel="viewport"), id="unknown channel"),
        pytest.param(changed(data=...), id="no data"),
        pytest.param(changed(data=CURSOR | {"line": -1}), id="a negative line"),
        pytest.param(changed(data=CURSOR | {"line": 2**32}), id="a line beyond 32 bits"),
        pytest.param(changed(data=CURSOR | {"line": 1.0}), id="a float for a line"),
        pytest.param(changed(data=CURSOR | {"line": True}), id="a truth value for a line"),
        pytest.param(changed(channel="custom", data=b"\1\2"), id="custom data as a byte string"),
        pytest.param(changed(channel="custom", data=[-1]), id="negative custom data"),
        pytest.param(
            changed(channel="kernel_state", data={"status": "tired", "env_source": ""}),
            id="unknown kernel state",
        ),
        pytest.param(changed(x="y" * MAX_BODY), id="larger than the limit"),
        pytest.param(b"\x81" * 4000, id="nested as deep as it can be"),
        pytest.param(b"\xa1\x61a" * 1300, id="nested maps"),
        pytest.param(b"\xd8\x1c" * 2000 + b"\x00", id="nested references"),
        pytest.param(b"\x9b" + b"\x7f" * 8, id="an array announced to be huge"),
        pytest.param(b"\xbb" + b"\xff" * 8, id="a map announced to be huge"),
        pytest.param(b"\x7b" + b"\x7f" * 8 + b"x", id="a text announced to be huge"),
        pytest.param(b"\xa1\x64type\x62\xff\xff", id="a text that is no UTF-8"),
        pytest.param(changed()[:-1], id="cut"),
        pytest.param(b"\xc5\x82\x1b" + b"\x0f" * 8 + b"\x01", id="a huge power"),
        pytest.param(b"\xa1\x64type\xc2\x59\x0f\x00" + b"\xff" * 0xF00, id="a huge number"),
        pytest.param(b"\xd8\x23\x79\x0f\x00" + b"(a*" * 1280, id="a pattern"),
        pytest.param(b"\xd8\x1c\x81\xd8\x1d\x00", id="an array that contains itself"),
        pytest.param(b"\xda\xff\xff\xff\xff\xa0", id="a tag nobody knows"),
        pytest.param(b"\xd9\x01\x02\x81\x00", id="a set"),
    ],
)  # fmt: skip
def test_what_is_no_presence_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"presence|kernel state"):
        decode(body)


@settings(deadline=None)
@given(bodies, st.data())
def test_a_damaged_body_is_refused_or_read_as_something_else(
    body: PresenceBody, data: st.DataObject
) -> None:
    damaged = bytearray(encode(body))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(damaged))
    except RemoteProtocolError:
        return
    assert decode(encode(found)) == found


def test_a_body_above_the_limit_is_not_sent() -> None:
    empty = len(encode(Update("p", Cursor("", 0, 0))))
    fits = Update("p", Cursor("c" * (MAX_BODY - empty - 2), 0, 0))
    assert len(encode(fits)) == MAX_BODY
    with pytest.raises(LocalProtocolError, match=r"presence too large: 4097 bytes \(max 4096\)"):
        encode(Update("p", Cursor("c" * (MAX_BODY - empty - 1), 0, 0)))


def test_what_can_not_be_written_is_refused_before_it_is_sent() -> None:
    with pytest.raises(LocalProtocolError, match="presence can't be sent"):
        encode(Update("p", Cursor("\ud800", 0, 0)))


@settings(deadline=None)
@given(st.lists(peer_states, max_size=5))
def test_the_size_of_a_snapshot_is_known_before_it_is_made(states: list[PeerState]) -> None:
    assert snapshot_size(states) == len(encode(Snapshot("daemon", states)))


def test_channels_are_named_after_what_they_carry() -> None:
    found = [channel_of(data) for data in (Cursor("c", 0, 0), Selection("c", 0, 0, 0, 0))]
    found += [channel_of(data) for data in (KernelState("idle", ""), Custom([]))]
    assert found == ["cursor", "selection", "kernel_state", "custom"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, "peer"),
        ("", "peer"),
        ("  \t\n ", "peer"),
        ("  Ada  ", "Ada"),
        ("A\u200bd\u202ea\x00\x7f\x9f", "Ada"),
        ("\u2066\u2069\ufeff\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e", "peer"),
        ("e\ufe00\ufe0f\U000e0100\U000e01ef", "e"),
        ("\u200f Ada \u200e", "Ada"),
        ("x" * 65, "x" * 64),
        ("\u00e9" * 70, "\u00e9" * 64),
        ("\U0001f600" * 65, "\U0001f600" * 64),
        ("x" * 63 + "  y", "x" * 63),
        ("a  b", "a  b"),
        ("\ud800x", "x"),
        ("\u2028Ada\u2061", "Ada\u2061"),  # not on the list
    ],
)
def test_labels_are_cleaned(given: str | None, shown: str) -> None:
    assert clean_label(given) == shown


@settings(deadline=None)
@given(st.text(max_size=90))
def test_a_clean_label_is_short_visible_and_stays_as_it_is(label: str) -> None:
    cleaned = clean_label(label)
    assert 1 <= len(cleaned) <= 64
    assert clean_label(cleaned) == cleaned
    assert cleaned.encode()
