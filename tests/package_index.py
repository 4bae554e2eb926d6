"""A small Python package index over HTTP, which can hang and break off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

__all__ = ["Behaviour", "serve_packages"]

#: `hangs`: takes requests and never answers. `cuts`: breaks off in the middle of each wheel.
Behaviour = Literal["works", "hangs", "cuts"]


class _Handler(BaseHTTPRequestHandler):
    def __init__(
        self, *args: object, folder: Path, behaviour: Behaviour, end: threading.Event
    ) -> None:
        self._folder, self._behaviour, self._end = folder, behaviour, end
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        if self._behaviour == "hangs":
            self._end.wait(60)
            return
        parts = [part for part in self.path.partition("?")[0].split("/") if part]
        wheel = self._folder / parts[-1]
        if parts[-1].endswith(".whl") and wheel.exists():
            content = wheel.read_bytes()
            self._send(content, "application/octet-stream", body)
            return
        names = [path.name for path in self._folder.glob(f"{parts[-1]}-*.whl")]
        if not names:
            self.send_error(404)
            return
        links = "".join(f'<a href="/files/{name}">{name}</a>' for name in names)
        page = f"<!DOCTYPE html><html><body>{links}</body></html>"
        self._send(page.encode(), "text/html", body)

    def _send(self, content: bytes, kind: str, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        if self._behaviour == "cuts" and kind != "text/html":
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serve_packages(folder: Path, behaviour: Behaviour = "works") -> Iterator[str]:
    """Serve the wheels in a folder; gives the index's URL."""
    end = threading.Event()
    handler = partial(_Handler, folder=folder, behaviour=behaviour, end=end)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        end.set()
        server.shutdown()
        server.server_close()
        thread.join()
