"""Runs the Python examples of the agent client's document against a local runtime and local files.

`python .ci/run_agent_document.py agent-client.txt`. The code is the document's, but for the import
line, addresses and times, which `main` lists. What it takes for granted is in `_stand_ins`. One
example shows parameters with placeholders; its callbacks are left out, as the text allows.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import io
import re
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import trio
from run_documents import bare_blocks

from runtimed.agents import (
    ArtifactUploadRequestMessageInterface,
    QueryOptions,
    RuntimeEnvironmentDownloadableInterface,
    RuntimeUseClient,
    RuntimeUseServer,
    TextResult,
)

#: What an example of the client speaks of.
_KNOWN = re.compile(r"\b(client|runtimeuse_client)\b")

_ARCHIVE = "https://github.com/openai/codex/archive/refs/heads/main.zip"


class _Storage(BaseHTTPRequestHandler):
    """Gives an archive, takes files."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("codex-main/README.md", "# codex\n")
            archive.writestr("codex-main/cli.rs", "fn main() {}\n")
        self._answer(body.getvalue())

    def do_PUT(self) -> None:
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _storage() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Storage)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Agent:
    """Counts files; takes its time for one prompt; leaves a file for another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run(self, invocation: Any, sender: Any) -> Any:
        if invocation.user_prompt == "Do the thing.":
            await trio.sleep_forever()
        if invocation.user_prompt == "Leave a file.":
            (self._folder / "out").mkdir(exist_ok=True)
            (self._folder / "out" / "notes.txt").write_text("noted")
        files = [path for path in (self._folder / "work").rglob("*") if path.is_file()]
        sender.send_assistant_message([f"There are {len(files)} files."])
        if invocation.output_format is None:
            return TextResult(text=f"{len(files)} files, of which cli.rs is the best.")
        counts = {"file_count": len(files), "char_count": sum(len(p.read_text()) for p in files)}
        return {"type": "structured_output", "structured_output": counts, "metadata": {"turns": 1}}


@contextmanager
def _runtime(folder: Path) -> Iterator[str]:
    server = RuntimeUseServer(_Agent(folder), port=0)
    listening = threading.Event()
    token: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            token.append(trio.lowlevel.current_trio_token())
            listening.set()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    if not listening.wait(30):
        raise SystemExit("the runtime did not start")
    try:
        yield f"ws://localhost:{server.port}"
    finally:
        trio.from_thread.run(server.stop, trio_token=token[0])
        thread.join()


def _stand_ins(ws_url: str, files_url: str, folder: Path) -> dict[str, Any]:
    """The names that the document takes for granted."""

    class Sandbox:
        create = classmethod(lambda cls: cls())

        def run(self, command: str) -> None:
            assert "runtimeuse" in command

        def get_url(self, port: int) -> str:
            return ws_url

    async def create_presigned_url(name: str) -> str:
        return f"{files_url}/{name}"

    return {
        "__name__": "__main__",
        "asyncio": asyncio,
        "Sandbox": Sandbox,
        "downloadable": RuntimeEnvironmentDownloadableInterface(
            download_url=f"{files_url}/main.zip", working_dir=str(folder / "work")
        ),
        "on_artifact": None,
        "on_assistant": None,
        "my_storage": SimpleNamespace(create_presigned_url=create_presigned_url),
        "guess_content_type": lambda name: "text/plain",
        "ArtifactUploadRequestMessageInterface": ArtifactUploadRequestMessageInterface,
    }


async def _leave_a_file(names: dict[str, Any], ws_url: str, folder: Path) -> None:
    """What the text says of artifacts: the folder, together with the document's callback."""
    await RuntimeUseClient(ws_url=ws_url).query(
        prompt="Leave a file.",
        options=QueryOptions(
            system_prompt="You are a helpful assistant.",
            model="gpt-4.1",
            artifacts_dir=str(folder / "out"),
            on_artifact_upload_request=names["on_artifact"],
        ),
    )
    assert _Storage.files == {"/notes.txt": b"noted"}, _Storage.files


def _without_headings(code: str) -> ast.Module:
    """The code without the headings behind it, which parse as names."""
    tree = ast.parse(code)
    tree.body = [
        statement
        for statement in tree.body
        if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name))
    ]
    return tree


async def _run(code: str, where: str, names: dict[str, Any]) -> None:
    """Run an example of an asynchronous program."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(_without_headings(code), where, "exec", flags, dont_inherit=True)
    outcome = eval(compiled, names)
    if inspect.iscoroutine(outcome):
        await outcome


def main(document: str) -> int:
    """Run the document's examples; the exit code."""
    with tempfile.TemporaryDirectory() as place, _storage() as files_url:
        folder = Path(place)
        with _runtime(folder) as ws_url:
            replaced = {
                "from runtimeuse_client import": "from runtimed.agents import",
                "ws://localhost:8080": ws_url,
                _ARCHIVE: f"{files_url}/main.zip",
                '"/runtimeuse"': repr(str(folder / "work")),
                "output_format_json_schema_str='...'": "output_format_json_schema_str='{}'",
                "cancel_after_delay(client, 30)": "cancel_after_delay(client, 0.3)",
            }
            names = _stand_ins(ws_url, files_url, folder)
            blocks = list(bare_blocks(Path(document), _KNOWN))
            for block in blocks:
                print(f"--- {block.document}:{block.line}", flush=True)
                code = block.code
                for old, new in replaced.items():
                    code = code.replace(old, new)
                where = f"{block.document}:{block.line}"
                if "asyncio.run(" in code:
                    exec(compile(code, where, "exec", dont_inherit=True), names)
                else:
                    asyncio.run(_run(code, where, names))
            asyncio.run(_leave_a_file(names, ws_url, folder))
    print(f"{len(blocks)} examples run")
    return 0 if len(blocks) >= 5 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
