from __future__ import annotations

import hashlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
import pytest

from runtimed.client.resolve import ContentCache, OutputReader, output_from
from runtimed.client.results import Output
from runtimed.outputs.manifest import Manifest, build_manifest

PNG = "iVBORw0KGgo" + "A" * 20_001  # long enough for a blob


def stored(root: Path, output: dict[str, Any]) -> Manifest:
    manifest = build_manifest(output)
    parts = [(manifest.hash, manifest.json)] + [(b.hash, b.data) for b in manifest.blobs]
    for digest, data in parts:
        (root / digest[:2]).mkdir(parents=True, exist_ok=True)
        (root / digest[:2] / digest[2:]).write_bytes(data)
    return manifest


def reader(root: Path | None = None, port: int | None = None) -> OutputReader:
    return OutputReader(root, port, ContentCache(1_000_000))


async def test_an_entry_may_be_the_output_itself() -> None:
    entry = '{"output_type":"stream","name":"stdout","text":["a\\n","b"]}'
    assert await reader().outputs([entry]) == [
        Output(output_type="stream", name="stdout", text="a\nb")
    ]


async def test_manifests_and_blobs_are_read_from_the_folder(tmp_path: Path) -> None:
    text = "long " * 10_000
    manifest = stored(tmp_path, {"output_type": "stream", "name": "stderr", "text": text})
    assert manifest.blobs
    outputs = await reader(tmp_path).outputs([manifest.hash])
    assert outputs == [Output(output_type="stream", name="stderr", text=text)]


async def test_binary_data_comes_back_as_the_base64_it_was(tmp_path: Path) -> None:
    data = {"image/png": PNG.rstrip("=") + "=" * (-len(PNG) % 4), "text/plain": "pic"}
    manifest = stored(
        tmp_path,
        {
            "output_type": "display_data",
            "data": data,
            "metadata": {"image/png": {"width": 3}},
            "transient": {"display_id": "d"},
        },
    )
    (output,) = await reader(tmp_path).outputs([manifest.hash])
    assert output.data == data
    assert output.metadata == {"image/png": {"width": 3}}
    assert output.display_id == "d"


async def test_json_types_are_compact_json_text(tmp_path: Path) -> None:
    manifest = stored(
        tmp_path,
        {
            "output_type": "execute_result",
            "data": {"application/json": {"a": [1, None]}, "text/plain": "x"},
            "execution_count": None,
        },
    )
    (output,) = await reader(tmp_path).outputs([manifest.hash])
    assert output.data == {"application/json": '{"a":[1,null]}', "text/plain": "x"}
    assert output.execution_count is None


async def test_neighbouring_pieces_of_a_stream_are_one_output() -> None:
    entries = [
        orjson.dumps({"output_type": "stream", "name": name, "text": text}).decode()
        for name, text in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]
    ]
    outputs = await reader().outputs(entries)
    assert [(o.name, o.text) for o in outputs] == [
        ("stdout", "ab"),
        ("stderr", "c"),
        ("stdout", "d"),
    ]


async def test_a_manifest_that_came_along_is_not_fetched() -> None:
    manifest = build_manifest({"output_type": "stream", "name": "stdout", "text": "hi"})
    outputs = reader()
    outputs.remember(manifest.hash, manifest.json.decode())
    assert (await outputs.outputs([manifest.hash]))[0].text == "hi"


async def test_what_cannot_be_resolved_is_shown_as_such() -> None:
    missing = hashlib.sha256(b"").hexdigest()
    assert await reader().outputs([missing, "not json " * 20]) == [
        Output(
            output_type="stream",
            name="stderr",
            text=f"Failed to resolve output: {missing}Failed to resolve output: "
            + ("not json " * 20)[:64],
        )
    ]


async def test_an_announced_output_that_is_garbage_says_so_in_its_own_kind() -> None:
    outputs = reader()
    assert await outputs.single("{", "stream") == Output(
        output_type="stream", name="stderr", text="Failed to parse output: {"
    )
    error = await outputs.single("{", "error")
    assert (error.ename, error.evalue) == (
        "OutputParseError",
        "Failed to parse error output: {",
    )


async def test_blobs_are_fetched_over_http_where_the_folder_is_out_of_reach(tmp_path: Path) -> None:
    manifest = stored(tmp_path, {"output_type": "stream", "name": "stdout", "text": "y" * 9000})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path.startswith("/blob/")
            digest = self.path.removeprefix("/blob/")
            data = (tmp_path / digest[:2] / digest[2:]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            outputs = await reader(None, server.server_port).outputs([manifest.hash])
        finally:
            server.shutdown()
            thread.join()
    assert outputs[0].text == "y" * 9000


def test_a_kind_of_a_later_day_is_kept_whole() -> None:
    output = output_from({"output_type": "novel", "x": 1})
    assert repr(output) == "Output(novel)"
    assert output.text == '{"output_type":"novel","x":1}'


def test_the_cache_drops_what_was_used_longest_ago() -> None:
    cache = ContentCache(100)
    cache.put("a", b"x" * 40)
    cache.put("b", b"x" * 40)
    assert cache.get("a")
    cache.put("c", b"x" * 40)
    assert cache.get("b") is None
    assert cache.get("a")
    cache.put("huge", b"x" * 51)
    assert cache.get("huge") is None


@pytest.mark.parametrize("text", [None, 3, {"a": 1}])
def test_odd_values_become_text(text: Any) -> None:
    assert isinstance(output_from({"output_type": "stream", "text": text}).text, str)
