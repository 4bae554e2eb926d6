from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.blobs.replies import (
    Reply,
    blob_reply,
    host_is_ours,
    preflight_reply,
    requested_blob,
    text_reply,
)

HASH = "ab" * 32
TAG = b'"' + HASH.encode() + b'"'


def reply_to(method: str = "GET", size: int = 10, **asked: bytes) -> Reply:
    headers = {name.replace("_", "-").encode(): value for name, value in asked.items()}
    return blob_reply(HASH, size, "image/png", method, headers)


@pytest.mark.parametrize(
    "host", [b"127.0.0.1:81", b"localhost:81", b"LocalHost:81", b"[::1]:81", b" localhost:81 "]
)
def test_hosts_that_mean_this_machine_are_served(host: bytes) -> None:
    assert host_is_ours(host, 81)


@pytest.mark.parametrize(
    "host",
    [
        None,
        b"",
        b"localhost",
        b"127.0.0.1",
        b"127.0.0.1:80",
        b"evil.example:81",
        b"localhost:081",
        b"127.0.0.1.evil.example:81",
        b"localhost:81:81",
        b":81",
        b"\xff:81",
        b"user@localhost:81",
    ],
)
def test_other_hosts_are_not(host: bytes | None) -> None:
    assert not host_is_ours(host, 81)


def test_a_blob_is_asked_for_by_its_hash_alone() -> None:
    assert requested_blob(f"/blob/{HASH}") == HASH
    assert requested_blob(f"/blobs/{HASH}") == HASH


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/blob",
        "/blob/",
        f"/blob/{HASH}/",
        f"/blob/{HASH}.meta",
        f"/blob/{HASH[:-1]}",
        f"/blob/{HASH.upper()}",
        f"/blob/{HASH}\n",
        f"/blob/../{HASH}",
        f"/blobss/{HASH}",
        HASH,
    ],
)
def test_other_paths_name_no_blob(path: str) -> None:
    assert requested_blob(path) is None


def test_a_whole_blob_has_every_header_of_the_specification() -> None:
    reply = reply_to()
    assert (reply.status, reply.start, reply.stop) == (200, 0, 10)
    assert dict(reply.headers) == {
        b"content-type": b"image/png",
        b"content-length": b"10",
        b"cache-control": b"public, max-age=31536000, immutable",
        b"access-control-allow-origin": b"*",
        b"access-control-expose-headers": b"Accept-Ranges, Content-Length, Content-Range, ETag",
        b"x-content-type-options": b"nosniff",
        b"etag": TAG,
        b"accept-ranges": b"bytes",
    }


@pytest.mark.parametrize("media_type", ["", "text/html\r\nset-cookie: a=b", "text/ü", " a", "a\n"])
def test_a_media_type_that_is_no_header_value_becomes_the_default(media_type: str) -> None:
    headers = dict(blob_reply(HASH, 1, media_type, "GET", {}).headers)
    assert headers[b"content-type"] == b"application/octet-stream"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        (b"bytes=0-3", 0, 4),
        (b"bytes=4-", 4, 10),
        (b"bytes=-3", 7, 10),
        (b"bytes=-30", 0, 10),
        (b"bytes=9-9", 9, 10),
        (b"bytes=5-99999", 5, 10),
        (b"Bytes= 0-0 ", 0, 1),
    ],
)
def test_a_range_is_cut_out(asked: bytes, start: int, stop: int) -> None:
    reply = reply_to(range=asked)
    headers = dict(reply.headers)
    assert (reply.status, reply.start, reply.stop) == (206, start, stop)
    assert headers[b"content-range"] == b"bytes %d-%d/10" % (start, stop - 1)
    assert headers[b"content-length"] == b"%d" % (stop - start)
    assert headers[b"content-type"] == b"image/png"


@pytest.mark.parametrize(
    "asked",
    [
        b"bytes=0-1,4-5",
        b"bytes=5-4",
        b"bytes=-",
        b"bytes=a-b",
        b"lines=0-1",
        b"",
        b"bytes",
        b"bytes=0-" + b"9" * 5000,
    ],
)
def test_a_range_that_is_several_or_malformed_gets_the_whole(asked: bytes) -> None:
    assert reply_to(range=asked).status == 200


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        (b"bytes=10-", 10),
        (b"bytes=10-12", 10),
        (b"bytes=-0", 10),
        (b"bytes=0-", 0),
        (b"bytes=-1", 0),
    ],
)
def test_a_range_outside_the_blob_is_refused(asked: bytes, size: int) -> None:
    reply = reply_to(size=size, range=asked)
    assert reply.status == 416
    assert dict(reply.headers)[b"content-range"] == b"bytes */%d" % size


def test_a_range_is_for_get_only() -> None:
    assert reply_to("HEAD", range=b"bytes=0-3").status == 200


def test_a_range_of_another_version_gets_the_whole() -> None:
    assert reply_to(range=b"bytes=0-3", if_range=b'"other"').status == 200
    assert reply_to(range=b"bytes=0-3", if_range=b"W/" + TAG).status == 200
    assert reply_to(range=b"bytes=0-3", if_range=TAG).status == 206


@pytest.mark.parametrize("listed", [TAG, b"W/" + TAG, b'"other", ' + TAG, b"*", TAG + b',"b"'])
def test_what_the_client_has_is_not_sent_again(listed: bytes) -> None:
    reply = reply_to(if_none_match=listed, range=b"bytes=0-3")
    assert (reply.status, reply.start, reply.stop, reply.text) == (304, 0, 0, b"")
    headers = dict(reply.headers)
    assert headers[b"etag"] == TAG
    assert b"content-length" not in headers


@pytest.mark.parametrize("listed", [b'"other"', b"", HASH.encode(), b'"*"'])
def test_what_the_client_lacks_is_sent(listed: bytes) -> None:
    assert reply_to(if_none_match=listed).status == 200


def test_short_replies_allow_any_origin_and_have_no_content_type() -> None:
    for reply in (text_reply(404, b"Not Found"), preflight_reply()):
        headers = dict(reply.headers)
        assert headers[b"access-control-allow-origin"] == b"*"
        assert b"content-type" not in headers


@given(
    asked=st.binary(max_size=40) | st.from_regex(rb"\Abytes=[0-9]{0,3}-[0-9]{0,3}\Z"),
    size=st.integers(0, 300),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_no_range_reaches_beyond_the_blob(asked: bytes, size: int, method: str) -> None:
    reply = blob_reply(HASH, size, "a/b", method, {b"range": asked})
    assert 0 <= reply.start <= reply.stop <= size
    if reply.status != 416:
        assert dict(reply.headers)[b"content-length"] == b"%d" % (reply.stop - reply.start)
