"""What the blob server answers: requests judged, ranges cut, headers made, all as values.

Knows nothing of sockets, files or ASGI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from runtimed.blobs.files import DEFAULT_MEDIA_TYPE, is_blob_hash

__all__ = [
    "Headers",
    "Reply",
    "blob_reply",
    "host_is_ours",
    "not_allowed_reply",
    "preflight_reply",
    "requested_blob",
    "text_reply",
]

Headers = tuple[tuple[bytes, bytes], ...]

_ANY_ORIGIN = (b"access-control-allow-origin", b"*")
_METHODS = b"GET, HEAD, OPTIONS"
_HOSTS = ("127.0.0.1", "localhost", "[::1]")

# `/blobs/` is where clients of the older implementation look, which its own server never knew.
_BLOB_PATH = re.compile(r"/blobs?/([^/]+)\Z")
_RANGE = re.compile(rb"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*\Z", re.IGNORECASE)
_ENTITY_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MEDIA_TYPE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z")


@attrs.frozen
class Reply:
    """Status, headers and body: a short text, or the bytes of a blob from `start` to `stop`."""

    status: int
    headers: Headers
    text: bytes = b""
    start: int = 0
    stop: int = 0


def host_is_ours(host: bytes | None, port: int) -> bool:
    """Whether a Host header names this server by an address that is always this machine's.

    A page of another site can point its own name at 127.0.0.1 (DNS rebinding) and would then read
    blobs as its own; its name is in this header.
    """
    if host is None:
        return False
    name, _, digits = host.decode("latin-1").strip().lower().rpartition(":")
    return name in _HOSTS and digits == str(port)


def requested_blob(path: str) -> str | None:
    """The hash in a request's path; None if the path is no blob's."""
    match = _BLOB_PATH.match(path)
    return match[1] if match and is_blob_hash(match[1]) else None


def text_reply(status: int, text: bytes, *headers: tuple[bytes, bytes]) -> Reply:
    """A short answer. It has no content type, as clients of the protocol expect."""
    length = (b"content-length", b"%d" % len(text))
    return Reply(status, (length, _ANY_ORIGIN, *headers), text)


def preflight_reply() -> Reply:
    """The answer to OPTIONS: any page may read, and ask for ranges."""
    return Reply(
        204,
        (
            (b"allow", _METHODS),
            _ANY_ORIGIN,
            (b"access-control-allow-methods", _METHODS),
            (
                b"access-control-allow-headers",
                b"Range, If-Range, If-None-Match, Content-Type, Cache-Control",
            ),
            (b"access-control-max-age", b"86400"),
        ),
    )


def not_allowed_reply() -> Reply:
    """The answer to every method but GET, HEAD and OPTIONS."""
    return text_reply(405, b"Method Not Allowed", (b"allow", _METHODS))


def blob_reply(
    blob_hash: str, size: int, media_type: str, method: str, asked: Mapping[bytes, bytes]
) -> Reply:
    """The answer to a GET or HEAD of a blob that is there.

    `asked` has the request's headers under lower-case names. One range is served; several at once,
    or a malformed one, are answered with the whole, as RFC 9110 section 14.2 allows.
    """
    tag = b'"' + blob_hash.encode() + b'"'
    lasting: Headers = (
        (b"etag", tag),
        (b"cache-control", b"public, max-age=31536000, immutable"),
        _ANY_ORIGIN,
        (b"access-control-expose-headers", b"Accept-Ranges, Content-Length, Content-Range, ETag"),
    )
    if _names_tag(asked.get(b"if-none-match"), tag):
        return Reply(304, lasting)
    if not _MEDIA_TYPE.match(media_type):  # would be no header
        media_type = DEFAULT_MEDIA_TYPE
    described: Headers = (
        (b"content-type", media_type.encode()),
        *lasting,
        (b"x-content-type-options", b"nosniff"),
        (b"accept-ranges", b"bytes"),
    )
    # "A server MUST ignore a Range header field received with a request method [other than] GET."
    part = asked.get(b"range") if method == "GET" else None
    if part is not None and asked.get(b"if-range", tag) != tag:
        part = None
    span = None if part is None else _span(part, size)
    if span is None:
        return Reply(200, ((b"content-length", b"%d" % size), *described), stop=size)
    start, stop = span
    if start >= stop:
        return text_reply(416, b"Range Not Satisfiable", (b"content-range", b"bytes */%d" % size))
    where = b"bytes %d-%d/%d" % (start, stop - 1, size)
    length = (b"content-length", b"%d" % (stop - start))
    return Reply(206, (length, (b"content-range", where), *described), start=start, stop=stop)


def _names_tag(listed: bytes | None, tag: bytes) -> bool:
    if listed is None:
        return False
    return listed.strip() == b"*" or tag in _ENTITY_TAG.findall(listed)


def _span(asked: bytes, size: int) -> tuple[int, int] | None:
    """Start and stop of the range asked for, empty if it can't be satisfied; None to ignore it."""
    match = _RANGE.match(asked)
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size
