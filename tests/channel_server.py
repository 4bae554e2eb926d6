"""Serves a folder over HTTP, well or badly: a channel that hangs, fails, or cuts a download."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from local_server import LocalServer, serving

__all__ = ["ChannelServer", "serve_channel"]


class ChannelServer(LocalServer):
    """What it is to do wrong, by the end of a path: told in attributes, at any time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(functools.partial(_Handler, directory=str(folder)))
        self.hangs: str | None = None
        self.cuts: str | None = None
        #: Answers 503 so many times.
        self.unavailable = 0
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(SimpleHTTPRequestHandler):
    server: ChannelServer

    def do_GET(self) -> None:
        server = self.server
        server.requests.append(self.path)
        if server.hangs is not None and self.path.endswith(server.hangs):
            server.closing.wait()
        elif server.unavailable > 0:
            server.unavailable -= 1
            self.send_error(503)
        elif server.cuts is not None and self.path.endswith(server.cuts):
            self._send_half()
        else:
            super().do_GET()

    def _send_half(self) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serve_channel(folder: Path) -> Iterator[ChannelServer]:
    """The folder, served until the block is left."""
    with serving(ChannelServer(folder)) as server:
        yield server
