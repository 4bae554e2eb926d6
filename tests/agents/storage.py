"""A local HTTP server: what agents download from, and the storage that they upload to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_server import LocalServer

__all__ = ["Storage"]


class Storage(LocalServer):
    """Serves `files` by path, and keeps what is PUT in `stored`, in order.

    `answers` are the statuses of the next PUTs, then 200. A request for /hang gets no answer.
    """

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.files: dict[str, bytes | tuple[int, str]] = {}
        self.stored: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[int] = []
        self.asked: list[str] = []
        self.hanging = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Storage

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path.startswith("/hang"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"a little")
            self.wfile.flush()
            self.server.hanging.set()
            self.server.closing.wait(60)
            return
        found = self.server.files.get(path, (404, ""))
        if isinstance(found, tuple):
            self.send_response(found[0])
            if found[1]:
                self.send_header("Location", found[1])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def do_PUT(self) -> None:
        if self.path.startswith("/early"):  # refused before it is read
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/hang"):
            self.server.hanging.set()
            self.server.closing.wait(60)
            return
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.stored.append((self.path, body, dict(self.headers)))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
