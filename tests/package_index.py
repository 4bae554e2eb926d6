"""A small Python package index over HTTP, which can hang, break off and hold a download back."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

from local_server import LocalServer, serving

__all__ = ["Behaviour", "PackageIndex", "serve_packages"]

#: `hangs`: takes requests and never answers. `cuts`: breaks off in the middle of each wheel.
Behaviour = Literal["works", "hangs", "cuts"]


class PackageIndex(LocalServer):
    """How it behaves is told in attributes, at any time."""

    def __init__(self, folder: Path, behaviour: Behaviour) -> None:
        super().__init__(_Handler)
        self.folder = folder
        self.behaviour = behaviour
        #: The project whose wheels are held back until `released` is set; `held` says that one is.
        self.holds: str | None = None
        self.held = threading.Event()
        self.released = threading.Event()
        #: The names of the wheels that were asked for.
        self.wheels: list[str] = []

    @property
    def url(self) -> str:
        return self.url_for("")

    def url_for(self, credentials: str) -> str:
        """With a user and a password, which nobody checks."""
        at = f"{credentials}@" if credentials else ""
        return f"http://{at}127.0.0.1:{self.server_port}/simple"

    def hold(self, project: str) -> None:
        """Hold back the wheels of a project from now on."""
        self.held.clear()
        self.released.clear()
        self.holds = project

    def release(self) -> None:
        self.holds = None
        self.released.set()


class _Handler(BaseHTTPRequestHandler):
    server: PackageIndex

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        server = self.server
        if server.behaviour == "hangs":
            server.closing.wait(60)
            return
        parts = [part for part in self.path.partition("?")[0].split("/") if part]
        wheel = server.folder / parts[-1]
        if parts[-1].endswith(".whl.metadata"):
            self._send(_metadata(wheel.with_suffix("")), "text/plain", body)
            return
        if parts[-1].endswith(".whl") and wheel.exists():
            if body:
                server.wheels.append(wheel.name)
            content = wheel.read_bytes()
            self._send(content, "application/octet-stream", body)
            return
        names = [path.name for path in server.folder.glob(f"{parts[-1]}-*.whl")]
        if not names:
            self.send_error(404)
            return
        links = "".join(
            f'<a href="/files/{name}" data-core-metadata="true">{name}</a>' for name in names
        )
        page = f"<!DOCTYPE html><html><body>{links}</body></html>"
        self._send(page.encode(), "text/html", body)

    def _send(self, content: bytes, kind: str, body: bool) -> None:
        server = self.server
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        if kind == "application/octet-stream":
            if server.behaviour == "cuts":
                content = content[: len(content) // 2]
            if server.holds and f"/{server.holds}-" in self.path:
                self._hold_back(content[: len(content) // 2])
                content = content[len(content) // 2 :]
        self.wfile.write(content)

    def _hold_back(self, half: bytes) -> None:
        """Send it, and wait."""
        server = self.server
        self.wfile.write(half)
        self.wfile.flush()
        server.held.set()
        while not (server.released.is_set() or server.closing.is_set()):
            server.released.wait(0.1)

    def log_message(self, *args: Any) -> None:
        pass


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        return archive.read(name)


@contextmanager
def serve_packages(folder: Path, behaviour: Behaviour = "works") -> Iterator[PackageIndex]:
    """Serve the wheels in a folder."""
    with serving(PackageIndex(folder, behaviour)) as server:
        yield server
