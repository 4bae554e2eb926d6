"""The JavaScript library as a peer: the same types, the same text, the same sync messages."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtimed.document.actors import daemon_actor
from runtimed.document.new_notebook import fill_new_notebook
from runtimed.document.notebook import NewCell, NotebookDocument

pytestmark = pytest.mark.real

PACKAGE = "@automerge/automerge@3"

# One command a line, as JSON, with an answer each. A browser peer in a few lines.
SCRIPT = """
import * as A from "@automerge/automerge"
import readline from "node:readline"

let doc = A.init(), state = A.initSyncState()
const bytes = text => Uint8Array.from(Buffer.from(text, "base64"))
const text = data => Buffer.from(data).toString("base64")
const str = value => new A.ImmutableString(value)

function types(obj) {
  const backend = A.getBackend(doc), result = {}
  for (const key of backend.keys(obj)) {
    const [type, value] = backend.getWithType(obj, key)
    result[key] = type === "map" ? types(value) : type
  }
  return result
}

const commands = {
  load: ({data}) => { doc = A.load(bytes(data)) },
  types: () => types("_root"),
  content: () => ({
    plain: JSON.parse(JSON.stringify(doc, (_, v) => typeof v === "bigint" ? Number(v) : v)),
    immutable: doc.cells.c.cell_type instanceof A.ImmutableString,
    text: typeof doc.cells.c.source === "string",
  }),
  receive: ({data}) => { [doc, state] = A.receiveSyncMessage(doc, state, bytes(data)) },
  generate: () => {
    const [next, message] = A.generateSyncMessage(doc, state)
    state = next
    return message === null ? null : text(message)
  },
  edit: () => {
    doc = A.change(doc, d => {
      A.splice(d, ["cells", "c", "source"], 3, 1, "J\\u{1f642}S")  // counted in UTF-16 units
      d.cells.c.position = str("8580")
      d.cells.c.outputs.push(str("from js"))
      d.cells.c.metadata.counter = new A.Counter(3)
      d.cells.c.metadata.tags.push(str("js"))
      d.cells.js = {
        id: str("js"), cell_type: str("markdown"), position: str("8480"), source: "h\\u00e9llo",
        execution_count: str("null"), outputs: [], metadata: {text: "text", n: 1, f: 1.5, no: null},
        resolved_assets: {},
      }
    })
  },
}

for await (const line of readline.createInterface({input: process.stdin})) {
  const command = JSON.parse(line)
  console.log(JSON.stringify(commands[command.do](command) ?? null))
}
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("js")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    (folder / "peer.mjs").write_text(SCRIPT)
    command = [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not install {PACKAGE}: {error}")
    return folder


@pytest.fixture
def js(package: Path) -> Iterator[Callable[..., Any]]:
    """Gives the JavaScript peer a command and returns its answer."""
    with subprocess.Popen(
        ["node", "peer.mjs"], cwd=package, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def call(do: str, data: bytes = b"") -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            command = {"do": do, "data": base64.b64encode(data).decode()}
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        try:
            yield call
        finally:
            process.kill()


def notebook() -> NotebookDocument:
    doc = NotebookDocument.create("nb", daemon_actor())
    fill_new_notebook(doc, "nb", cell_id="first")
    doc.load_cells([NewCell("c", "code", "🙂 = 1", 3, ["ab" * 32], {"tags": ["t"], "n": 1})])
    doc.set_resolved_assets("c", {"a.png": "cd" * 32})
    return doc


def sync(doc: NotebookDocument, js: Callable[..., Any]) -> int:
    """Exchange messages until both are silent. Returns how many it took."""
    peer = doc.new_peer()
    count = 0
    while True:
        ours = doc.generate_sync(peer)
        if ours is not None:
            js("receive", ours)
        theirs = js("generate")
        if theirs is not None:
            doc.receive_sync(peer, base64.b64decode(theirs))
        if ours is None and theirs is None:
            return count
        count += 1
        assert count < 20


def test_a_document_made_here_has_the_types_of_the_schema_there(js: Callable[..., Any]) -> None:
    js("load", notebook().save())
    types = js("types")
    assert types["cells"]["c"] == {
        "id": "str",
        "cell_type": "str",
        "position": "str",
        "source": "text",
        "execution_count": "str",
        "outputs": "list",
        "metadata": {"tags": "list", "n": "int"},
        "resolved_assets": {"a.png": "str"},
    }
    assert types["schema_version"] == "uint"
    assert types["notebook_id"] == types["metadata"]["runtime"] == "str"
    assert types["metadata"]["runt"] == {
        "schema_version": "str",
        "env_id": "str",
        "uv": {"dependencies": "list"},
    }
    content = js("content")
    assert content["immutable"]
    assert content["text"]
    assert content["plain"]["cells"]["c"]["source"] == "🙂 = 1"


def test_edits_made_there_arrive_here_by_sync(js: Callable[..., Any]) -> None:
    doc = notebook()
    sync(doc, js)
    assert js("content")["plain"]["cells"]["c"]["source"] == "🙂 = 1"
    js("edit")
    doc.append_source("c", "\n# ours")
    sync(doc, js)
    assert doc.cell_ids() == ["first", "js", "c"]
    cell = doc.cell("c")
    # three UTF-16 units are two code points here
    assert cell.source == "🙂 J🙂S 1\n# ours"
    assert cell.outputs == ("ab" * 32, "from js")
    assert cell.metadata == {"tags": ["t", "js"], "n": 1}  # a counter has no JSON form
    made = doc.cell("js")
    assert (made.cell_type, made.source, made.execution_count) == ("markdown", "héllo", None)
    assert made.metadata == {"text": "text", "n": 1, "f": 1.5, "no": None}
    assert js("content")["plain"]["cells"]["c"]["source"] == cell.source


def test_a_document_both_have_edited_can_be_stored_on_either_side(js: Callable[..., Any]) -> None:
    doc = notebook()
    sync(doc, js)
    js("edit")
    sync(doc, js)
    for i in range(20):
        doc.set_source("js", f"edit {i}")
        doc.move_cell("js", None if i % 2 else "c")
        sync(doc, js)
    assert NotebookDocument.load(doc.save(), daemon_actor()).cells() == doc.cells()
    js("load", doc.save())
    assert js("content")["plain"]["cells"]["js"]["source"] == "edit 19"
