"""`runt inspect`: outputs by type and size, and in full, out of stored manifests."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend, run_command

from runt_cli.output_summary import full_outputs, output_line, summarized_outputs
from runtimed.outputs.manifest import build_manifest
from runtimed.protocol import pool
from runtimed.protocol.structures import CellSnapshot, KernelInfo

__all__ = ["pretend"]

IMAGE = base64.b64encode(b"\x89PNG" + bytes(9000)).decode()
STREAM = {"output_type": "stream", "name": "stdout", "text": "x" * 20_000}
MORE = {"output_type": "stream", "name": "stdout", "text": "end\n"}
PICTURE = {
    "output_type": "display_data",
    "data": {"image/png": IMAGE, "text/plain": "<Figure>", "application/json": {"a": 1}},
    "metadata": {},
}
ERROR = {
    "output_type": "error",
    "ename": "ValueError",
    "evalue": "no\nway",
    "traceback": ["Traceback", "ValueError: no way"],
}


class Blobs:
    """What was stored, by hash."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def store(self, output: Mapping[str, Any]) -> str:
        manifest = build_manifest(output)
        self.stored[manifest.hash] = manifest.json
        self.stored |= {blob.hash: blob.data for blob in manifest.blobs}
        return manifest.hash

    def read(self, digest: str) -> bytes:
        return self.stored[digest]


def test_a_summary_has_types_and_sizes_and_reads_no_content() -> None:
    blobs = Blobs()
    entries = [blobs.store(output) for output in (STREAM, MORE, PICTURE, ERROR)]
    manifests = {entry: blobs.stored[entry] for entry in entries}
    assert summarized_outputs([*entries, json.dumps(MORE)], manifests.__getitem__) == [
        {"output_type": "stream", "name": "stdout", "size": 20_004},
        {
            "output_type": "display_data",
            "size": 9004 + 8 + 7,
            "mime_types": {"image/png": 9004, "text/plain": 8, "application/json": 7},
        },
        {"output_type": "error", "ename": "ValueError", "evalue": "no\nway", "size": 34},
        {"output_type": "stream", "name": "stdout", "size": 4},
    ]


def test_outputs_in_full_are_those_of_notebook_files() -> None:
    blobs = Blobs()
    entries = [blobs.store(output) for output in (STREAM, MORE, PICTURE)]
    assert full_outputs([*entries, json.dumps(ERROR)], blobs.read) == [
        {**STREAM, "text": STREAM["text"] + MORE["text"]},
        PICTURE,
        ERROR,
    ]


@pytest.mark.parametrize("entry", ["f" * 64, "not json", '"text"', '{"output_type": "odd"}', "[]"])
def test_what_can_not_be_read_is_said_and_ends_nothing(entry: str) -> None:
    read = Blobs().read
    (summary,) = summarized_outputs([entry], read)
    assert summary == {"size": len(entry), "parse_error": True}
    assert output_line(summary) == "[an output that can't be read]"
    assert len(full_outputs([entry], read)) == 1


def test_a_summary_fits_a_line() -> None:
    blobs = Blobs()
    entries = [blobs.store(output) for output in (STREAM, PICTURE, ERROR)]
    assert [output_line(each) for each in summarized_outputs(entries, blobs.read)] == [
        "stream stdout 20 kB",
        "display_data application/json 7 bytes, image/png 9 kB, text/plain 8 bytes",
        "error ValueError: no way",
    ]


# ---------------------------------------------------------------------- the command


@pytest.fixture
def notebook(pretend: Pretend, tmp_path: Path) -> str:
    """A notebook with a kernel, and one that is only saved, behind a pretended daemon."""
    path = str(tmp_path / "my notebook.ipynb")
    blobs = Blobs()
    outputs = [blobs.store(PICTURE), json.dumps(MORE)]
    for digest, content in blobs.stored.items():
        file = tmp_path / "blobs" / digest[:2] / digest[2:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    cells = [
        CellSnapshot("a", "markdown", "80", "# Title\n\nand text", "null", []),
        CellSnapshot("b", "code", "81", "x = 1\n" * 20, "3", outputs),
    ]

    def answer(request: Any) -> Any:
        if isinstance(request, pool.ListRooms):
            return pool.RoomsList([pool.RoomInfo(path, 1, True)])
        if request.notebook_id == path:
            kernel = KernelInfo("python", "uv:prewarmed", "idle")
            return pool.NotebookState(path, cells, "live_room", kernel)
        if request.notebook_id.endswith("/saved.ipynb"):
            return pool.NotebookState(request.notebook_id, cells[:1], "persisted_file", None)
        return pool.Error("Notebook not found: no active room and no persisted file")

    pretend(answer)
    return path


@pytest.mark.real
def test_a_notebook_for_people(notebook: str) -> None:
    done = run_command("inspect", "my notebook")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "Notebook: ~/my notebook.ipynb\n"
        "Source: open in the daemon\n"
        "Kernel: python (uv:prewarmed) - idle\n"
        "Cells (2):\n"
        "------------------------------------------------------------\n"
        "  1 [ ] markdown: # Title and text\n"
        "  2 [3] code: x = 1 x = 1 x = 1 x = 1 x = 1 x = 1 x = 1 x = 1 x = 1 x = 1… (2 outputs)\n"
        "      display_data application/json 7 bytes, image/png 9 kB, text/plain 8 bytes\n"
        "      stream stdout 4 bytes\n"
    )


@pytest.mark.real
def test_outputs_in_full_for_people(notebook: str) -> None:
    lines = run_command("inspect", "--full-outputs", "my notebook").stdout.splitlines()
    assert lines[-2:] == ["      [image/png, 9 kB]", "      end"]


@pytest.mark.real
def test_a_notebook_as_json(notebook: str) -> None:
    found = json.loads(run_command("inspect", "--json", "my notebook").stdout)
    code = found["cells"].pop()
    assert found == {
        "notebook_id": notebook,
        "source": "live_room",
        "kernel_info": {"kernel_type": "python", "env_source": "uv:prewarmed", "status": "idle"},
        "cells": [
            {
                "id": "a",
                "cell_type": "markdown",
                "source_preview": "# Title\n\nand text",
                "source_len": 17,
                "execution_count": "null",
                "outputs": [],
            }
        ],
    }
    assert code["source_preview"] == ("x = 1\n" * 20)[:80] + "..."
    assert (code["source_len"], code["execution_count"]) == (120, "3")
    assert [output["output_type"] for output in code["outputs"]] == ["display_data", "stream"]
    full = json.loads(run_command("inspect", "--json", "--full-outputs", "my notebook").stdout)
    assert full["cells"][1]["outputs"] == [PICTURE, MORE]
    assert [cell["source"] for cell in full["cells"]] == ["# Title\n\nand text", "x = 1\n" * 20]


@pytest.mark.real
def test_a_notebook_that_is_closed_is_shown_as_it_was_saved(notebook: str) -> None:
    done = run_command("inspect", "saved")
    assert done.stdout.splitlines()[1:4] == [
        "Source: from the file",
        "Kernel: none",
        "Cells (1):",
    ]


@pytest.mark.real
def test_a_notebook_that_the_daemon_does_not_know(notebook: str, tmp_path: Path) -> None:
    done = run_command("inspect", "missing")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Notebook not found: missing. Use 'runt notebooks' to see open notebooks.\n"
    )
    (tmp_path / "new.ipynb").write_text("{}")
    assert run_command("inspect", "new").stderr == (
        "Failed to inspect notebook: new is a file that this daemon has never had open. "
        "'runt open new' opens it\n"
    )
