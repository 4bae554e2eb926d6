"""Cloning a notebook: a copy with a life of its own, written over nothing unasked."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
import trio.testing

from loopback import Loopback, open_loopback
from runtimed.protocol import handshake, requests, responses
from wire_peer import WirePeer

ATTACHMENTS = {"a.png": {"image/png": base64.encodebytes(bytes(10_000)).decode()}}


def original() -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": "c", "metadata": {"tags": ["t"]}, "source": ["1+1"],
         "execution_count": 7, "outputs": [{"output_type": "stream", "name": "stdout",
                                            "text": ["2\n"]}], "x_unknown": 1},
        {"cell_type": "markdown", "id": "m", "metadata": {}, "source": [],
         "attachments": ATTACHMENTS},
    ]  # fmt: skip
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "runt": {
            "schema_version": "1",
            "env_id": "old",
            "trust_signature": "hmac-sha256:aa",
            "trust_timestamp": "2026-01-01T00:00:00Z",
            "uv": {"dependencies": ["numpy"]},
            "other": 1,
        },
        "toc": [1],
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


async def opened(daemon: Loopback, path: Path, value: Any = None) -> WirePeer:
    path.write_text(json.dumps(value or original()))
    peer = daemon.connect()
    await peer.open(handshake.OpenNotebook(str(path)))
    await peer.ask(requests.GetHeads())
    await peer.sync()
    return peer


async def test_a_clone_has_the_cells_without_outputs_and_an_environment_of_its_own(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    async with open_loopback(tmp_path, autosave=False) as daemon:
        peer = await opened(daemon, tmp_path / "n.ipynb")
        peer.replica.document.append_source("c", " # not saved yet")
        await peer.sync()
        before = (tmp_path / "n.ipynb").read_bytes()
        reply = await peer.ask(requests.CloneNotebook(str(tmp_path / "copy")))
        assert reply == responses.NotebookCloned(str(tmp_path / "copy.ipynb"))
        data = (tmp_path / "copy.ipynb").read_bytes()
        copy: Any = json.loads(data)
        runt = copy["metadata"].pop("runt")
        assert runt.pop("env_id") not in ("old", str(tmp_path / "n.ipynb"))
        assert runt == {"schema_version": "1", "uv": {"dependencies": ["numpy"]}, "other": 1}
        expected = original()
        del expected["metadata"]["runt"]
        expected["cells"][0] |= {"outputs": [], "execution_count": None}
        expected["cells"][0]["source"] = ["1+1 # not saved yet"]
        assert copy == expected
        # The room goes on as before.
        assert (tmp_path / "n.ipynb").read_bytes() == before
        assert peer.replica.document.outputs("c")
        assert list(daemon.listed()) == [str(tmp_path / "n.ipynb")]


async def test_a_clone_of_metadata_that_the_document_can_not_hold_is_not_signed_either(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    value = original()
    value["metadata"]["runt"]["uv"] = "no section"
    async with open_loopback(tmp_path) as daemon:
        peer = await opened(daemon, tmp_path / "n.ipynb", value)
        reply = await peer.ask(requests.CloneNotebook(str(tmp_path / "copy.ipynb")))
        runt = json.loads(Path(reply.path).read_bytes())["metadata"]["runt"]
        assert runt.keys() == {"schema_version", "env_id", "uv", "other"}
        assert runt["env_id"] != "old"


async def test_an_untitled_notebook_can_be_cloned(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        reply = await peer.open(handshake.CreateNotebook("python"))
        await peer.sync()
        reply = await peer.ask(requests.CloneNotebook(str(tmp_path / "copy.ipynb")))
        notebook: Any = nbformat.read(reply.path, as_version=4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("{}/other.ipynb", "exists already: choose another path, or pass overwrite=True"),
        ("{}/folder.ipynb", "exists already"),
        ("{}/n.ipynb", "is the notebook itself"),
        ("{}/n", "is the notebook itself"),
        ("copy.ipynb", "Relative paths are not supported for clone: 'copy.ipynb'"),
        ("{}/missing/copy.ipynb", "Failed to write notebook"),
    ],
)
async def test_a_clone_that_would_harm_is_refused(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, path: str, problem: str
) -> None:
    (tmp_path / "other.ipynb").write_text("precious")
    (tmp_path / "folder.ipynb").mkdir()
    async with open_loopback(tmp_path) as daemon:
        peer = await opened(daemon, tmp_path / "n.ipynb")
        names = sorted(file.name for file in tmp_path.glob("*.ipynb"))
        reply = await peer.ask(requests.CloneNotebook(path.format(tmp_path)))
        assert reply.error.startswith("Failed to clone notebook: ")
        assert problem in reply.error
        assert (tmp_path / "other.ipynb").read_text() == "precious"
        assert sorted(file.name for file in tmp_path.glob("*.ipynb")) == names


async def test_a_clone_replaces_a_file_when_that_is_asked(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    (tmp_path / "other.ipynb").write_text("old")
    async with open_loopback(tmp_path) as daemon:
        peer = await opened(daemon, tmp_path / "n.ipynb")
        await peer.ask(requests.CloneNotebook(str(tmp_path / "other.ipynb"), overwrite=True))
        assert len(json.loads((tmp_path / "other.ipynb").read_bytes())["cells"]) == 2
        reply = await peer.ask(requests.CloneNotebook(str(tmp_path / "n.ipynb"), overwrite=True))
        assert "is the notebook itself" in reply.error


async def test_a_clone_to_another_spelling_of_the_notebook_is_refused(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    async with open_loopback(tmp_path) as daemon:
        await opened(daemon, tmp_path / "n.ipynb")
        peer = await daemon.join(str(tmp_path / "n.ipynb"))
        before = (tmp_path / "n.ipynb").read_bytes()
        (tmp_path / "symlink.ipynb").symlink_to(tmp_path / "n.ipynb")
        os.link(tmp_path / "n.ipynb", tmp_path / "hardlink.ipynb")
        (tmp_path / "folder").mkdir()
        for name in ("symlink", "hardlink.ipynb", "folder/../n.ipynb"):
            request = requests.CloneNotebook(f"{tmp_path}/{name}", overwrite=True)
            reply = await peer.ask(request)
            assert f"'{tmp_path}/n.ipynb' is the notebook itself" in reply.error
        assert (tmp_path / "n.ipynb").read_bytes() == before
        assert (tmp_path / "hardlink.ipynb").samefile(tmp_path / "n.ipynb")
