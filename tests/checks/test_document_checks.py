"""The checks that the specification of documents, outputs and files demands, by their numbers.

Check 9 (own writes are known, a quick edit by others is merged) is in rooms/test_shared_file.py.
Where its weaknesses ("Known weaknesses to do better than") are tested:

| weakness | tests |
|---|---|
| W1 unsaved work of file-backed notebooks | rooms/test_rooms.py, rooms/test_shared_file.py |
| W2 interleaved streams | here, check 7; outputs/test_cell_outputs.py |
| W3 lists of lines in MIME bundles | here, check 8; document/test_ipynb.py |
| W4 binary parts stay base64 | outputs/test_manifest.py |
| W5 clear and update displays | outputs/test_cell_outputs.py, outputs/test_display_index.py |
| W6 external edits without a base | document/test_three_way.py, rooms/test_shared_file.py |
| W7 lossy emulation | here, check 6; outputs/test_streams.py |
| W8 one actor for every document | document/test_actors.py |
| W9 metadata written as a whole | document/test_json_mapping.py, document/test_metadata.py |
| W10 root objects made twice | document/test_sync.py, document/test_attachments.py |
| W11 lists made anew, no compaction | document/test_notebook.py, rooms/test_document_file.py |
| W12 appending counts bytes | document/test_notebook.py |
| W13 equal and malformed positions | document/test_positions.py |
| missing blobs saved over outputs | rooms/test_rooms.py, rooms/test_room_attachments.py |
| old and unknown formats, repeated ids | document/test_ipynb.py, integration/test_round_trips.py |
| files cut by a crash | rooms/test_document_file.py, blobs/test_files.py; here, check 10 |
| failed migration, no map of cells | document/test_schema.py, rooms/test_document_file.py |
| later schema | rooms/test_later_documents.py |
| untitled notebook saved without a path | rooms/test_rooms.py |
| extras of the file lost | document/test_ipynb.py, document/test_ipynb_round_trips.py |
| manifests at every chunk, keys in any order | outputs/test_manifest.py |
| `transient` in files, texts as one string | document/test_ipynb.py |
| attachments outside the document | document/test_attachments.py, rooms/test_room_attachments.py |
| settings mirror drops keys, corrupt document | here, check 12; settings/test_settings_store.py |
| cleared `runt` sections, signed clones | document/test_ipynb.py, rooms/test_room_clone.py |
| own writes known by time, watching the file itself | rooms/test_shared_file.py |
| blob store: stale files, HEAD, OPTIONS, ranges | blobs/test_files.py, blobs/test_server.py |
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from automerge.core import ROOT, Document, ObjType, ScalarType

from loopback import Loopback, open_loopback
from runtimed.blobs.files import BlobWriter
from runtimed.blobs.server import BlobServer
from runtimed.blobs.store import BlobStore
from runtimed.document import positions
from runtimed.document.actors import client_actor, daemon_actor
from runtimed.document.new_notebook import fill_new_notebook
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.document.settings import SettingsDocument
from runtimed.outputs.manifest import build_manifest, resolve_manifest
from runtimed.outputs.merge import merge_streams
from runtimed.outputs.streams import StreamText
from runtimed.protocol import handshake, requests
from runtimed.rooms.document_file import DocumentFile
from runtimed.settings.store import SettingsStore
from wire_peer import WirePeer


def exchange(one: NotebookDocument, other: NotebookDocument, here: Any, there: Any) -> None:
    while True:
        message, answer = one.generate_sync(here), other.generate_sync(there)
        if message is None and answer is None:
            return
        if message is not None:
            other.receive_sync(there, message)
        if answer is not None:
            one.receive_sync(here, answer)


def test_check_01_positions_follow_the_table_and_a_thousand_edits_keep_their_order() -> None:
    chain = [positions.FIRST]
    for _ in range(129):
        chain.append(positions.after(chain[-1]))
    assert [*chain[1:5], *chain[127:130]] == [
        *("8180", "8280", "8380", "8480"),
        *("FF80", "FF8180", "FF8280"),
    ]
    chain = [positions.FIRST]
    for _ in range(129):
        chain.append(positions.before(chain[-1]))
    assert [*chain[1:4], *chain[128:130]] == ["7F80", "7E80", "7D80", "0080", "007F80"]
    for left, right, result in [
        ("80", "8180", "817F80"),
        ("8180", "8280", "818180"),
        ("8180", "8480", "8280"),
        ("7F80", "80", "7F8180"),
        ("80", "817F80", "817E80"),
        ("8080", "8180", "808180"),
        ("80", "80", None),
    ]:
        assert positions.between(left, right) == result

    rng = random.Random(3)
    document = NotebookDocument.create("nb", b"daemon")
    replica = NotebookDocument.empty(b"peer")
    here, there = document.new_peer(), replica.new_peer()
    exchange(document, replica, here, there)
    order: list[str] = []
    for number in range(1000):
        writer = rng.choice([document, replica])
        if order and rng.random() < 0.5:
            moved = rng.choice(order)
            rest = [cell_id for cell_id in order if cell_id != moved]
            after = rng.choice([None, *rest])
            writer.move_cell(moved, after)
            rest.insert(0 if after is None else rest.index(after) + 1, moved)
            order = rest
        else:
            after = rng.choice([None, *order])
            writer.insert_cell_after(f"c{number}", "code", "", after)
            order.insert(0 if after is None else order.index(after) + 1, f"c{number}")
        exchange(document, replica, here, there)
        if number % 50 == 0 or number == 999:
            assert document.cell_ids() == replica.cell_ids() == order


def test_check_02_a_document_made_here_has_the_types_of_the_schema() -> None:
    """The JavaScript library's view of the same is in document/test_interop.py."""
    document = NotebookDocument.create("nb", daemon_actor())
    fill_new_notebook(document, "nb", cell_id="first")
    document.load_cells([NewCell("c", "code", "x", 3, ["ab" * 32], {"tags": ["t"], "n": 1})])
    document.set_resolved_assets("c", {"a.png": "cd" * 32})
    other = Document.load(document.save())

    def kind(value: Any, child: bytes) -> Any:
        if value == ObjType.Map:
            return types(child)
        return value[0] if isinstance(value, tuple) else value

    def types(obj: bytes) -> dict[str, Any]:
        return {key: kind(*(other.get(obj, key) or (None, b""))) for key in other.keys(obj)}

    found = types(ROOT)
    assert found.keys() == {"schema_version", "notebook_id", "cells", "metadata"}
    assert found["schema_version"] == ScalarType.Uint
    assert found["notebook_id"] == ScalarType.Str
    assert found["cells"]["c"] == {
        "id": ScalarType.Str,
        "cell_type": ScalarType.Str,
        "position": ScalarType.Str,
        "source": ObjType.Text,
        "execution_count": ScalarType.Str,
        "outputs": ObjType.List,
        "metadata": {"tags": ObjType.List, "n": ScalarType.Int},
        "resolved_assets": {"a.png": ScalarType.Str},
    }
    assert found["metadata"]["runtime"] == ScalarType.Str
    assert found["metadata"]["runt"]["uv"] == {"dependencies": ObjType.List}


async def test_check_03_a_document_of_schema_1_migrates_once(tmp_path: Path) -> None:
    old = Document(b"old")
    with old.transaction() as t:
        cells = t.put_object(ROOT, "cells", ObjType.List)
        for number, source in enumerate(["a", "é"]):
            cell = t.insert_object(cells, number, ObjType.Map)
            t.put(cell, "id", ScalarType.Str, f"c{number}")
            t.put(cell, "cell_type", ScalarType.Str, "code")
            t.insert(t.put_object(cell, "source", ObjType.Text), 0, ScalarType.Str, source)
            t.put(cell, "execution_count", ScalarType.Str, "4")
            t.insert(t.put_object(cell, "outputs", ObjType.List), 0, ScalarType.Str, "ab" * 32)
            metadata = t.put_object(cell, "metadata", ObjType.Map)
            t.put(metadata, "collapsed", ScalarType.Boolean, True)
    file = DocumentFile(tmp_path, "nb", trio.CapacityLimiter(1))
    file.path.write_bytes(old.save())
    document = await file.load(daemon_actor())
    assert document is not None
    seen = [
        (cell.id, cell.position, cell.source, cell.execution_count, cell.outputs, cell.metadata)
        for cell in document.cells()
    ]
    assert seen == [
        ("c0", "80", "a", 4, ("ab" * 32,), {"collapsed": True}),
        ("c1", "8180", "é", 4, ("ab" * 32,), {"collapsed": True}),
    ]
    await file.save(document)
    again = await DocumentFile(tmp_path, "nb", trio.CapacityLimiter(1)).load(daemon_actor())
    assert again is not None
    assert again.heads == document.heads


async def test_check_04_a_corrupt_file_is_kept_aside_and_the_notebook_can_be_used(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    notebook_id = "8f0f5a0e-3f5e-4d6c-9d2a-3a5b6c7d8e9f"
    name = hashlib.sha256(notebook_id.encode()).hexdigest()
    (tmp_path / "documents").mkdir()
    path = tmp_path / "documents" / f"{name}.automerge"
    path.write_bytes(b"no document")
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join(notebook_id)
        peer.replica.document.insert_cell("c", "code", "x")
        await peer.sync()
    assert path.with_name(f"{path.name}.corrupt").read_bytes() == b"no document"
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join(notebook_id)
        assert peer.replica.document.source("c") == "x"


@pytest.mark.parametrize("letter", ["a", "é", "日", "\U0001f600"])
def test_check_05_contents_of_8192_bytes_become_blobs_whatever_their_characters(
    letter: str,
) -> None:
    def text_of(size: int) -> str:
        count, rest = divmod(size, len(letter.encode()))
        return letter * count + "a" * rest

    small = build_manifest({"output_type": "stream", "name": "stdout", "text": text_of(8191)})
    assert json.loads(small.json)["text"] == {"inline": text_of(8191)}
    assert small.blobs == ()
    large = build_manifest({"output_type": "stream", "name": "stdout", "text": text_of(8192)})
    [blob] = large.blobs
    assert json.loads(large.json)["text"] == {"blob": blob.hash, "size": 8192}
    assert blob.data == text_of(8192).encode()


def test_check_06_streams_show_what_a_terminal_would() -> None:
    def shown(text: str) -> str:
        stream = StreamText()
        stream.append(text)
        return stream.text

    for written, expected in [
        ("a\rb", "b"),
        ("50%\r100%", "100%"),
        ("hello\n", "hello\n"),
        ("ab\bX", "aX"),
        ("x\n\n\n", "x\n\n\n"),  # nothing is trimmed here, see W7
    ]:
        assert shown(written) == expected
    lines = "".join(f"line {number}\n" for number in range(150))
    assert shown(lines) == lines
    assert "\x1b" not in shown(lines)
    assert shown("old\r\x1b[31mred\x1b[0m\n") == "\x1b[31mred\x1b[0m\n"


def saved_outputs(daemon: Loopback, peer: WirePeer, cell_id: str) -> list[dict[str, Any]]:
    """The outputs of a cell as a reader of its document has them."""
    return merge_streams(
        resolve_manifest(json.loads(daemon.blobs.read(entry) or b""), daemon.blobs.read)
        for entry in peer.replica.document.outputs(cell_id)
    )


async def test_check_07_interleaved_streams_show_each_character_once(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await daemon.join("nb")
        peer.replica.document.insert_cell("c", "code", "wait")
        await peer.sync()
        await peer.ask(requests.LaunchKernel("python", "auto"))
        await peer.ask(requests.ExecuteCell("c"))
        [kernel] = daemon.kernels.launched
        written = [("stdout", "a1\n"), ("stderr", "b1\n"), ("stdout", "a2\n"), ("stderr", "b2\n")]
        for name, text in written:
            kernel.say("kernel-1-1", "stream", {"name": name, "text": text})
            await trio.sleep(1)  # each is published on its own
        kernel.finish()
        await peer.hear_done("c")
        await peer.sync()
        found = [(o["name"], o["text"]) for o in saved_outputs(daemon, peer, "c")]
        assert found == written


async def test_check_08_lists_of_lines_load_render_and_save_unchanged(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    output = {
        "data": {"text/html": ["<b>\n", "x</b>"], "text/plain": ["two\n", "lines"]},
        "metadata": {},
        "output_type": "display_data",
    }
    cell = {"cell_type": "code", "execution_count": 1, "id": "c", "metadata": {},
            "outputs": [output], "source": ["x\n", "y"]}  # fmt: skip
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(notebook, indent=1, sort_keys=True) + "\n")
    before = path.read_bytes()
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        await peer.ask(requests.GetHeads())
        await peer.sync()
        [rendered] = saved_outputs(daemon, peer, "c")
        assert rendered["data"] == {"text/html": "<b>\nx</b>", "text/plain": "two\nlines"}
        await peer.ask(requests.SaveNotebook(format_cells=False))
    assert path.read_bytes() == before


def test_check_10_concurrent_puts_of_a_blob_leave_it_whole(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    name = hashlib.sha256(data).hexdigest()
    writers = [BlobWriter(tmp_path) for _ in range(8)]
    threads = [
        threading.Thread(target=writer.write, args=(name, data, "image/png")) for writer in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = sorted(path.name for path in (tmp_path / name[:2]).iterdir())
    assert files == [name[2:], f"{name[2:]}.meta"]
    assert (tmp_path / name[:2] / name[2:]).read_bytes() == data


@pytest.mark.real
def test_check_10_a_kill_during_a_put_leaves_no_part_under_a_final_name(tmp_path: Path) -> None:
    program = (
        "import hashlib, os, sys\n"
        "from pathlib import Path\n"
        "from runtimed.blobs.files import BlobWriter\n"
        "writer = BlobWriter(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    data = os.urandom(20_000_000)\n"
        "    writer.write(hashlib.sha256(data).hexdigest(), data, 'a/b')\n"
    )
    for number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.25 + number / 20)
            process.send_signal(signal.SIGKILL)
    blobs = [
        path for path in tmp_path.glob("*/*") if ".tmp" not in path.name and path.suffix != ".meta"
    ]
    for path in blobs:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name


@pytest.mark.real
async def test_check_11_blobs_are_served_with_the_status_and_headers_that_are_asked(
    tmp_path: Path,
) -> None:
    """HEAD, OPTIONS and ranges, which go beyond the check, are in blobs/test_server.py."""

    def ask(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()
        finally:
            connection.close()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            store = await nursery.start(BlobStore(tmp_path).run)
            port = await nursery.start(BlobServer(store).run)
            name = await store.put(b"bytes", "image/png")
            status, headers, body = await trio.to_thread.run_sync(ask, port, f"/blob/{name}")
            assert (status, body) == (200, b"bytes")
            expected = {
                "content-type": "image/png",
                "content-length": "5",
                "cache-control": "public, max-age=31536000, immutable",
                "access-control-allow-origin": "*",
                "x-content-type-options": "nosniff",
            }
            assert expected.items() <= headers.items()
            for path, method, wanted in [
                ("/health", "GET", (200, b"OK")),
                (f"/blob/{'0' * 64}", "GET", (404, b"Not Found")),
                ("/blob/no-hash", "GET", (404, b"Not Found")),
                ("/elsewhere", "GET", (404, b"Not Found")),
                (f"/blob/{name}", "POST", (405, b"Method Not Allowed")),
            ]:
                status, headers, body = await trio.to_thread.run_sync(ask, port, path, method)
                assert (status, body) == wanted
                assert headers["access-control-allow-origin"] == "*"
                assert "content-type" not in headers
            nursery.cancel_scope.cancel()


async def test_check_12_a_hand_edit_of_the_settings_reaches_peers_and_unknown_keys_stay(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    mirror = folder / "settings.json"
    mirror.write_text('{"theme": "dark", "of_another_program": {"a": [1]}}')
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            settings = SettingsStore(tmp_path / "settings.automerge", folder)
            await nursery.start(settings.run)
            await settings.wait_loaded()
            there, replica = settings.join(), SettingsDocument.empty(client_actor())
            here = replica.new_peer()

            def sync() -> None:
                while True:
                    heard = settings.generate_sync(there)
                    if heard is not None:
                        replica.receive_sync(here, heard)
                    said = replica.generate_sync(here)
                    if said is not None:
                        settings.receive_sync(there, said)
                    if heard is None and said is None:
                        return

            sync()
            assert replica.read().theme == "dark"
            edited = json.loads(mirror.read_text()) | {"keep_alive_secs": 77}
            mirror.write_text(json.dumps(edited))
            while replica.read().keep_alive_secs != 77:
                await trio.sleep(0.02)
                sync()
            replica.update({"theme": "light"})
            sync()
            while json.loads(mirror.read_text())["theme"] != "light":  # noqa: ASYNC110
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
    assert json.loads(mirror.read_text())["of_another_program"] == {"a": [1]}
