from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.errors import RemoteProtocolError
from runtimed.messages.wire import DELIMITER, WireFormat

DATE = "2026-01-01T00:00:00+00:00"


def test_a_message_survives_the_wire() -> None:
    wire = WireFormat(b"key", session="s")
    msg_id, frames = wire.request("execute_request", {"code": "1+1"}, DATE)
    message = wire.parse([b"identity", *frames, b"buffer"])
    assert (message.msg_id, message.msg_type) == (msg_id, "execute_request")
    assert message.content == {"code": "1+1"}
    assert message.parent_id == ""
    assert list(message.buffers) == [b"buffer"]


def test_ids_never_repeat() -> None:
    wire = WireFormat(b"key", session="s")
    assert len({wire.request("x", {}, DATE)[0] for _ in range(100)}) == 100


def test_jupyter_client_reads_what_we_write_and_the_other_way_round() -> None:
    from jupyter_client.session import Session

    theirs = Session(key=b"key")
    ours = WireFormat(b"key", session="s")
    _, frames = ours.request("execute_request", {"code": "é"}, DATE)
    _, rest = theirs.feed_identities(frames)
    assert theirs.deserialize(rest)["content"] == {"code": "é"}
    frames = theirs.serialize(theirs.msg("status", {"execution_state": "idle"}))
    assert ours.parse(frames).content == {"execution_state": "idle"}


def test_a_wrong_signature_is_refused() -> None:
    _, frames = WireFormat(b"key", session="s").request("x", {}, DATE)
    with pytest.raises(RemoteProtocolError, match="wrong signature"):
        WireFormat(b"other", session="s").parse(frames)


def test_nan_and_lone_surrogates_of_python_kernels_are_read() -> None:
    wire = WireFormat(b"", session="s")
    frames = [DELIMITER, b"", b"{}", b"{}", b"{}", b'{"value": NaN, "text": "\\ud800"}']
    message = wire.parse(frames)
    assert message.content["value"] != message.content["value"]
    assert message.content["text"] == "\ud800"


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_garbage_is_refused_and_nothing_else(frames: list[bytes]) -> None:
    for attempt in (frames, [DELIMITER, b"", *frames]):
        try:
            WireFormat(b"", session="s").parse(attempt)
        except RemoteProtocolError:
            pass
