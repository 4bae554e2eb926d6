"""Formatting before a save, with the formatters as processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from loopback import Loopback, open_loopback
from runtimed.protocol import handshake, requests
from wire_peer import WirePeer

pytestmark = pytest.mark.real

NOTEBOOK = "8f0f5a0e-3f5e-4d6c-9d2a-3a5b6c7d8e9f"


async def notebook_with(daemon: Loopback, sources: list[str], runtime: str = "python") -> WirePeer:
    """A peer in an untitled notebook of these code cells, named by their numbers."""
    peer = daemon.connect()
    await peer.open(handshake.CreateNotebook(runtime, notebook_id=NOTEBOOK))
    await peer.sync()
    document = peer.replica.document
    document.delete_cell(document.cell_ids()[0])
    for number, source in enumerate(sources):
        document.insert_cell(str(number), "code", source)
    await peer.sync()
    return peer


async def save(peer: WirePeer, path: Path, format_cells: bool = True) -> list[str]:
    """Save; the sources in the file."""
    reply = await peer.ask(requests.SaveNotebook(format_cells, str(path)))
    value: Any = json.loads(Path(reply.path).read_bytes())
    return ["".join(cell["source"]) for cell in value["cells"]]


def install(folder: Path, name: str, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a pretended formatter, a Python program, before all others."""
    folder.mkdir()
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{program}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


async def test_code_cells_are_formatted_and_what_can_not_be_stays(tmp_path: Path) -> None:
    sources = ["x  =  {  'a':1}\n", "x = = 1", "%time x  =  1", " \n", "f( x );", "if x :\n  y\n)"]
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, sources)
        peer.replica.document.insert_cell("m", "markdown", "x  =  1")
        await peer.sync()
        with trio.fail_after(30):
            assert await save(peer, tmp_path / "plain.ipynb", False) == [*sources, "x  =  1"]
            expected = ['x = {"a": 1}', *sources[1:4], "f(x);", sources[5], "x  =  1"]
            assert await save(peer, tmp_path / "n.ipynb") == expected
        await peer.sync()  # peers get it as edits
        assert [cell.source for cell in peer.replica.document.cells()] == expected


async def test_a_user_may_have_every_save_format(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.json").write_text('{"format_on_save": true}')
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, ["x  =  1"])
        with trio.fail_after(30):
            assert await save(peer, tmp_path / "n.ipynb", format_cells=False) == ["x = 1"]


async def test_the_style_of_the_project_counts(tmp_path: Path) -> None:
    (tmp_path / "ruff.toml").write_text("[format]\nquote-style = 'single'\n")
    path = tmp_path / "n.ipynb"
    cell: dict[str, Any] = {"cell_type": "code", "id": "c", "metadata": {}, "source": 'x = "a"',
                            "outputs": [], "execution_count": None}  # fmt: skip
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    async with open_loopback(tmp_path) as daemon:
        peer = daemon.connect()
        await peer.open(handshake.OpenNotebook(str(path)))
        with trio.fail_after(30):
            assert await save(peer, path) == ["x = 'a'"]


async def test_an_edit_made_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import json, pathlib, sys, time\n"
        "notebook = json.load(sys.stdin)\n"
        f"pathlib.Path({str(tmp_path / 'began')!r}).touch()\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n"
        "for cell in notebook['cells']: cell['source'] = cell['source'].replace('  ', ' ')\n"
        "json.dump(notebook, sys.stdout)\n"
    )
    install(tmp_path / "bin", "ruff", program, monkeypatch)
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, ["a  = 1", "b  = 1"])
        with trio.fail_after(30):
            other = await daemon.join(NOTEBOOK)
            sources: list[str] = []

            async def format_and_save() -> None:
                sources.extend(await save(peer, tmp_path / "n.ipynb"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(format_and_save)
                while not (tmp_path / "began").exists():  # noqa: ASYNC110
                    await trio.sleep(0.01)
                other.replica.document.append_source("0", " + 2")
                await other.sync()
                (tmp_path / "go").touch()
        assert sources == ["a  = 1 + 2", "b = 1"]


@pytest.mark.parametrize(
    "program",
    ["import sys; sys.exit('broken: 7:7:7:')", "print('no notebook')", "import os; os.abort()"],
)
async def test_a_formatter_that_fails_keeps_nobody_from_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    install(tmp_path / "bin", "ruff", program, monkeypatch)
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, ["a  = 1"])
        with trio.fail_after(30):
            assert await save(peer, tmp_path / "n.ipynb") == ["a  = 1"]


async def test_the_real_deno_formats_typescript_cells_in_the_style_of_their_folder(
    deno: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{deno.parent}:/usr/bin:/bin")
    (tmp_path / "deno.json").write_text(json.dumps({"fmt": {"singleQuote": True}}))
    cells = ["const x:number  = await   f( 'a' )", "let a = ;", "// only a comment", "%no deno"]
    path = tmp_path / "n.ipynb"
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, cells, "deno")
        with trio.fail_after(30):
            await save(peer, path, False)
            opened = daemon.connect()
            await opened.open(handshake.OpenNotebook(str(path)))
            expected = ["const x: number = await f('a');", *cells[1:]]
            assert await save(opened, path) == expected


async def test_an_old_deno_formats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "bin", "deno", "print('deno 1.46.3')", monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, ["let x  = 1"], "deno")
        with trio.fail_after(30):
            assert await save(peer, tmp_path / "n.ipynb") == ["let x  = 1"]


async def test_other_languages_are_left_alone(tmp_path: Path) -> None:
    async with open_loopback(tmp_path) as daemon:
        peer = await notebook_with(daemon, ["x <-  5"])
        spec = {"name": "ir", "display_name": "R", "language": "R"}
        snapshot = {"kernelspec": spec, "runt": {"schema_version": "1"}}
        peer.replica.document.set_metadata_snapshot(snapshot)
        await peer.sync()
        with trio.fail_after(30):
            assert await save(peer, tmp_path / "n.ipynb") == ["x <-  5"]
