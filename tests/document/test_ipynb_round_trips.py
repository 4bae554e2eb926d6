"""Any notebook file through the document and back: what was not touched comes back as it was."""

from __future__ import annotations

import importlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.ipynb import SavedCell, parse_notebook, render_notebook
from runtimed.document.notebook import NewCell, NotebookDocument
from runtimed.errors import NotebookUnreadable
from runtimed.outputs.attachments import build_attachments, resolve_attachments
from runtimed.outputs.json_text import compact_json, parse_json
from runtimed.outputs.manifest import NewBlob, build_manifest, resolve_manifest

nbformat: Any = importlib.import_module("nbformat")

text = st.text(
    st.one_of(
        st.characters(codec="utf-8"), st.sampled_from('\n\r\x0b\x0c\u2028\u2029\x85ab{}[]"\\\x1b')
    ),
    max_size=20,
)
numbers = st.one_of(
    st.integers(), st.integers(-(2**90), 2**90), st.floats(allow_nan=False, allow_infinity=False)
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=6,
)
# Names for which the format demands a shape, and the one that says who trusts a cell.
SHAPED = frozenset(
    ["tags", "name", "collapsed", "scrolled", "jupyter", "execution", "format", "trusted", "title",
     "authors", "orig_nbformat", "isolated", "codemirror_mode", "file_extension", "mimetype",
     "pygments_lexer"]
)  # fmt: skip
keys = text.filter(lambda name: name not in SHAPED)
objects = st.dictionaries(keys, values, max_size=3)
media_types = st.sampled_from(
    ["text/plain", "text/html", "image/png", "image/svg+xml", "application/pdf",
     "application/javascript", "application/vnd.unknown"]
)  # fmt: skip
json_types = st.sampled_from(["application/json", "application/vnd.plotly.v1+json"])
long_text = st.one_of(text, st.sampled_from(["QUJD" * 3000, "QUJD\n" * 3000, "é\n" * 5000]))


def lines(joined: str) -> list[str]:
    return joined.splitlines(keepends=True)


@st.composite
def bundles(draw: st.DrawFn) -> dict[str, Any]:
    texts = draw(st.dictionaries(media_types, long_text, max_size=3))
    split = ("text/plain", "text/html", "image/svg+xml", "application/javascript")
    return {
        **{key: lines(value) if key in split else value for key, value in texts.items()},
        **draw(st.dictionaries(json_types, values, max_size=1)),
    }


counts: st.SearchStrategy[int | None] = st.one_of(st.none(), st.integers(0, 2**40))
outputs = st.one_of(
    st.builds(
        lambda name, joined: {"output_type": "stream", "name": name, "text": lines(joined)},
        st.sampled_from(["stdout", "stderr"]),
        long_text,
    ),
    st.builds(
        lambda data, metadata: {"output_type": "display_data", "data": data, "metadata": metadata},
        bundles(),
        objects,
    ),
    st.builds(
        lambda data, metadata, count: {
            "output_type": "execute_result",
            "data": data,
            "metadata": metadata,
            "execution_count": count,
        },
        bundles(),
        objects,
        counts,
    ),
    st.builds(
        lambda ename, evalue, traceback: {
            "output_type": "error",
            "ename": ename,
            "evalue": evalue,
            "traceback": traceback,
        },
        text,
        text,
        st.lists(text, max_size=3),
    ),
)
names = st.text("abcdefgh0123_-", min_size=1, max_size=64)


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["code", "markdown", "raw"]))
    cell: dict[str, Any] = {
        "cell_type": kind,
        "metadata": draw(objects),
        "source": lines(draw(text)),
    }
    if kind == "code":
        cell |= {
            "execution_count": draw(counts),
            "outputs": draw(st.lists(outputs, max_size=3)),
        }
    elif draw(st.booleans()):
        cell["attachments"] = draw(st.dictionaries(text, bundles(), max_size=2))
    return cell


@st.composite
def notebooks(draw: st.DrawFn) -> dict[str, Any]:
    listed = draw(st.lists(cells(), max_size=4))
    ids = draw(st.lists(names, min_size=len(listed), max_size=len(listed), unique=True))
    metadata = draw(objects)
    groups = {"kernelspec", "language_info", "runt", "uv", "conda", "signature"}
    metadata = {key: value for key, value in metadata.items() if key not in groups}
    if draw(st.booleans()):
        metadata["kernelspec"] = {"name": draw(text), "display_name": draw(text), **draw(objects)}
    if draw(st.booleans()):
        metadata["runt"] = {**draw(objects), "schema_version": "1"}
    return {
        "cells": [{**cell, "id": cell_id} for cell, cell_id in zip(listed, ids, strict=True)],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def as_file(notebook: Any) -> bytes:
    return (json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def through_the_document(data: bytes, edit: Any = None) -> bytes:
    """Read a file, put all of it into a document and a replica of that, and write it again."""
    file = parse_notebook(data, "n.ipynb")
    blobs: dict[str, bytes] = {}
    document = NotebookDocument.create("nb", b"daemon")
    for cell in file.cells:
        entries = []
        attached: list[NewBlob] = []
        attachments = build_attachments(cell.attachments, attached)
        for output in cell.outputs:
            try:
                manifest = build_manifest(output)
            except ValueError:
                entries.append(compact_json(output).decode())
                continue
            entries.append(manifest.hash)
            blobs[manifest.hash] = manifest.json
            attached += manifest.blobs
        blobs |= {blob.hash: blob.data for blob in attached}
        new = NewCell(
            cell.id,
            cell.cell_type,
            cell.source,
            cell.execution_count,
            entries,
            cell.metadata,
            attachments,
        )
        document.load_cells([new])
    document.set_metadata_snapshot(file.snapshot)
    document = NotebookDocument.load(document.save(), b"other")
    if edit is not None:
        edit(document)
    saved = [
        SavedCell(
            id=cell.id,
            cell_type=cell.cell_type,
            source=cell.source,
            execution_count=cell.execution_count,
            outputs=[
                resolve_manifest(parse_json(blobs[entry]), blobs.get)
                if entry in blobs
                else parse_json(entry)
                for entry in cell.outputs
            ],
            metadata=cell.metadata,
            attachments=resolve_attachments(cell.attachments, blobs.get),
        )
        for cell in document.cells()
    ]
    return render_notebook(saved, document.metadata_snapshot(), file.raw)


@settings(max_examples=100)
@given(notebooks())
def test_a_valid_notebook_that_nobody_touched_comes_back_byte_for_byte(notebook: Any) -> None:
    data = as_file(notebook)
    saved = through_the_document(data)
    assert saved == data
    nbformat.validate(nbformat.reads(saved.decode(), as_version=4))


@settings(max_examples=40)
@given(notebooks(), st.data())
def test_an_edit_of_one_cell_leaves_all_others_as_they_were(notebook: Any, data: Any) -> None:
    if not notebook["cells"]:
        return
    cell = data.draw(st.sampled_from(notebook["cells"]))
    new = data.draw(text)
    saved = through_the_document(
        as_file(notebook), lambda document: document.set_source(cell["id"], new)
    )
    cell["source"] = lines(new)
    assert saved == as_file(notebook)


KEYS = [
    *("cells", "metadata", "nbformat", "nbformat_minor", "id", "cell_type", "source", "outputs"),
    *("output_type", "data", "text", "attachments", "execution_count", "name", "kernelspec"),
    *("runt", "schema_version", "uv", "dependencies"),
]
odd_files = st.recursive(
    st.one_of(values, st.sampled_from(["code", "markdown", "stream", "display_data", 4, 5])),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=5), st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(st.fixed_dictionaries({"cells": st.lists(odd_files, max_size=2)}), objects)
def test_what_can_be_read_at_all_stays_as_it_was_saved_first(file: Any, more: Any) -> None:
    try:
        saved = through_the_document(as_file({**more, **file}))
    except NotebookUnreadable:
        return
    assert through_the_document(saved) == saved
