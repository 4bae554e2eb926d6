"""Fetching a file, and putting one to a presigned URL: streamed, bounded, cancelled at once.

Knows the machine's proxies (`HTTP_PROXY` and its like) and certificates.
"""

from __future__ import annotations

import os
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import attrs
import httpcore
import trio

from runtimed.errors import RuntimedError

__all__ = ["HttpFailed", "fetch", "put_file"]

_CHUNK = 1 << 16
_REDIRECTS = 10


@attrs.define(eq=False)
class HttpFailed(RuntimedError):
    """A request was refused, or there was no answer. `status` is 0 in the second case."""

    reason: str
    status: int = 0

    def __str__(self) -> str:
        return self.reason

    @property
    def may_pass(self) -> bool:
        """Whether it is worth another try: no answer, an error of the server, too many requests."""
        return self.status == 0 or self.status >= 500 or self.status == 429


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[httpcore.AsyncConnectionPool]:
    """A pool that goes to this URL directly, or through the proxy that the environment names."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        pool: httpcore.AsyncConnectionPool = httpcore.AsyncHTTPProxy(
            proxy if "://" in proxy else f"http://{proxy}", ssl_context=_tls()
        )
    else:
        pool = httpcore.AsyncConnectionPool(ssl_context=_tls())
    async with pool:
        yield pool


def _checked(url: str) -> str:
    """The URL with what ASCII does not have escaped. Raises: HttpFailed if it is not for HTTP."""
    url = quote(url, safe="%/:=&?~#+!$,;'@()*[]")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise HttpFailed("not an HTTP URL")
    return url


def _timeouts(seconds: float) -> dict[str, dict[str, float]]:
    """Each of these bounds one step, so that what makes progress may take its time."""
    return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}


async def fetch(
    url: str, take: Callable[[bytes], object], *, timeout: float, max_bytes: int
) -> None:
    """GET a URL, following redirects, and hand over its body in chunks.

    Units: timeout in seconds, for each step without progress.
    Raises: HttpFailed; its text is `<code> <reason>` when there was an answer.
    """
    for _ in range(_REDIRECTS):
        url = _checked(url)
        async with _failing(), _client(url) as pool:
            request = pool.stream("GET", url, extensions=_timeouts(timeout))
            async with request as response:
                target = _header(response, b"location")
                if response.status in (301, 302, 303, 307, 308) and target:
                    url = urljoin(url, target)
                    continue
                _raise_for_status(response)
                await _hand_over(response, take, max_bytes)
                return
    raise HttpFailed(f"more than {_REDIRECTS} redirects", 310)


async def _hand_over(
    response: httpcore.Response, take: Callable[[bytes], object], max_bytes: int
) -> None:
    received = 0
    failure: Exception | None = None
    # Left by cancelling alone: httpcore's iterators, one inside the other, are closed by what is
    # raised in the innermost, and by nothing else.
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_stream():
            if failure is not None:
                continue
            received += len(chunk)
            try:
                if received > max_bytes:
                    raise HttpFailed(f"larger than {max_bytes} bytes", response.status)
                take(chunk)
            except (HttpFailed, OSError) as error:
                failure = error
                scope.cancel()
    if failure is not None:
        raise failure


class _Body:
    """What a file holds, in chunks. No generator: nobody would close it if a PUT ends early."""

    def __init__(self, file: Any, size: int) -> None:
        self._file = file
        self._left = size  # what is appended meanwhile goes with the next announcement

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes = await self._file.read(min(_CHUNK, self._left))
        if not chunk:
            raise StopAsyncIteration
        self._left -= len(chunk)
        return chunk


async def put_file(url: str, path: Path, *, content_type: str, timeout: float) -> None:
    """PUT a file's bytes, read while they are sent.

    Raises: HttpFailed; OSError if the file cannot be read (FileNotFoundError if it is gone).
    """
    url = _checked(url)
    async with await trio.open_file(path, "rb") as file:
        size = os.fstat(file.wrapped.fileno()).st_size

        headers = [
            (b"Host", urlsplit(url).netloc.rpartition("@")[2].encode()),
            (b"Content-Length", str(size).encode()),
            (b"Content-Type", content_type.encode("latin-1", "replace")),
        ]
        async with _failing(), _client(url) as pool:
            request = pool.stream(
                "PUT",
                url,
                headers=headers,
                content=_Body(file, size),
                extensions=_timeouts(timeout),
            )
            async with request as response:
                _raise_for_status(response)


@asynccontextmanager
async def _failing() -> AsyncIterator[None]:
    """What httpcore raises, as HttpFailed with the cause in words."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise HttpFailed(f"no progress ({type(error).__name__})") from error
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
        OSError,
    ) as error:
        cause = error.__cause__ or error.__context__ or error
        raise HttpFailed(str(error) or str(cause) or type(error).__name__) from error


def _raise_for_status(response: httpcore.Response) -> None:
    if not 200 <= response.status < 300:
        given = response.extensions.get("reason_phrase", b"").decode("latin-1")
        try:
            reason = given or HTTPStatus(response.status).phrase
        except ValueError:
            reason = ""
        raise HttpFailed(f"{response.status} {reason}".strip(), response.status)


def _header(response: httpcore.Response, name: bytes) -> str | None:
    for key, value in response.headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return None
