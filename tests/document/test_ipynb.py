from __future__ import annotations

import base64
import importlib
import json
import re
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.document.ipynb import (
    NotebookFile,
    SavedCell,
    file_cell_ids,
    merge_streams,
    parse_notebook,
    render_notebook,
)
from runtimed.document.ipynb_metadata import merged_metadata, metadata_snapshot
from runtimed.errors import NotebookUnreadable
from runtimed.outputs.manifest import build_manifest, resolve_manifest

nbformat: Any = importlib.import_module("nbformat")
v4 = nbformat.v4

PNG = base64.b64encode(bytes(range(256)) * 3).decode()


def jupyter_notebook() -> Any:
    cells = [
        v4.new_markdown_cell(
            "# Title\n\nwith ünïcödé 日本 \U0001f600\n![a](attachment:a.png)",
            attachments={"a.png": {"image/png": PNG, "text/plain": "two\nlines"}},
        ),
        v4.new_code_cell(
            "import x\n\nx.y()\n",
            execution_count=3,
            metadata={"tags": ["raises-exception"], "jupyter": {"source_hidden": True}, "a": 1.5},
            outputs=[
                v4.new_output("stream", name="stdout", text="a\nb\n\nlast line"),
                v4.new_output("stream", name="stderr", text=""),
                v4.new_output(
                    "display_data",
                    data={
                        "image/png": PNG + "\n",
                        "image/svg+xml": "<svg>\n</svg>",
                        "text/html": "<b>\n  x</b>\n",
                        "text/plain": "<Figure>\u2028line\x0cfeed",
                        "application/javascript": "a;\nb;",
                    },
                    metadata={"image/png": {"width": 640}},
                ),
                v4.new_output(
                    "execute_result",
                    execution_count=3,
                    data={
                        "application/vnd.jupyter.widget-view+json": {
                            "model_id": "ff",
                            "version_major": 2,
                        },
                        "application/json": ["keep\n", "this"],
                        "text/plain": "IntSlider(value=0)",
                    },
                ),
                v4.new_output(
                    "error",
                    ename="ValueError",
                    evalue="é",
                    traceback=["\x1b[31mline\x1b[0m", "b\nc"],
                ),
            ],
        ),
        v4.new_code_cell(""),
        v4.new_raw_cell("raw\r\ntext", metadata={"format": "text/restructuredtext"}),
    ]
    return v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
                "env": {"A": "1"},
            },
            "language_info": {
                "codemirror_mode": {"name": "ipython", "version": 3},
                "name": "python",
                "version": "3.11.7",
            },
            "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}},
            "toc": [1, 2.0, 1e300, None, True, {}],
        },
    )


def written(notebook: Any) -> bytes:
    text: str = nbformat.writes(notebook)
    return (text if text.endswith("\n") else text + "\n").encode()


def saved(file: NotebookFile) -> list[SavedCell]:
    return [
        SavedCell(
            id=cell.id,
            cell_type=cell.cell_type,
            source=cell.source,
            execution_count=cell.execution_count,
            outputs=cell.outputs,
            metadata=cell.metadata,
        )
        for cell in file.cells
    ]


def rendered(file: NotebookFile, **more: Any) -> Any:
    return json.loads(render_notebook(saved(file), more.get("snapshot", file.snapshot), file.raw))


def parse(value: Any) -> NotebookFile:
    return parse_notebook(json.dumps(value).encode(), "n.ipynb")


def minimal(cells: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}


def code(cell_id: Any = "a", **more: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": "", "metadata": {}, "outputs": []}
    return {**cell, "id": cell_id, "execution_count": None, **more}


def test_a_file_of_jupyter_is_written_as_it_was() -> None:
    data = written(jupyter_notebook())
    file = parse_notebook(data, "n.ipynb")
    assert render_notebook(saved(file), file.snapshot, file.raw) == data
    assert render_notebook(saved(file), None, file.raw) == data


def test_outputs_that_were_stored_as_manifests_are_written_as_they_were() -> None:
    notebook = jupyter_notebook()
    notebook.cells[1].outputs[2].data["image/png"] = base64.encodebytes(bytes(20_000)).decode()
    notebook.cells[1].outputs[2].data["text/html"] = "<p>\n</p>" * 5000
    data = written(notebook)
    file = parse_notebook(data, "n.ipynb")
    cells = []
    for cell in saved(file):
        outputs = []
        for output in cell.outputs:
            manifest = build_manifest({**output, "transient": {"display_id": "d"}})
            blobs = {blob.hash: blob.data for blob in manifest.blobs}
            outputs.append(resolve_manifest(json.loads(manifest.json), blobs.__getitem__))
        cells.append(attrs.evolve(cell, outputs=outputs))
    assert render_notebook(cells, file.snapshot, file.raw) == data


def test_what_is_written_is_valid_and_what_jupyter_would_write() -> None:
    data = written(jupyter_notebook())
    file = parse_notebook(data, "n.ipynb")
    base = {"metadata": file.raw["metadata"]}
    cells = saved(file)
    result = render_notebook(cells, file.snapshot, base)
    notebook = nbformat.reads(result.decode(), as_version=4)
    nbformat.validate(notebook)
    assert written(notebook) == result


def test_texts_are_joined_and_values_kept() -> None:
    file = parse_notebook(written(jupyter_notebook()), "n.ipynb")
    first, second, third, _ = file.cells
    assert first.source.startswith("# Title\n\nwith ünïcödé")
    assert second.source == "import x\n\nx.y()\n"
    assert second.execution_count == 3
    assert second.metadata["tags"] == ["raises-exception"]
    assert second.outputs[0]["text"] == "a\nb\n\nlast line"
    assert second.outputs[2]["data"]["text/html"] == "<b>\n  x</b>\n"
    assert second.outputs[3]["data"]["application/json"] == ["keep\n", "this"]
    assert third.source == ""
    assert third.execution_count is None
    assert file.snapshot == {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python", "version": "3.11.7"},
        "runt": {"schema_version": "1"},
    }
    assert file.nbformat_minor == 5


def test_a_notebook_from_nothing_is_valid() -> None:
    cells = [
        SavedCell("a", "code", "1+1", 1, [{"output_type": "execute_result", "transient": {}}]),
        SavedCell("b", "code", "", None, [{"output_type": "stream", "text": "x"}]),
        SavedCell(
            "c", "code", "", None, [{"output_type": "display_data"}, {"output_type": "error"}]
        ),
        SavedCell("d", "markdown", "x", attachments={"i.png": {"image/png": PNG}}),
    ]
    data = render_notebook(cells, {"runt": {"schema_version": "1", "env_id": "e"}}, None)
    notebook = nbformat.reads(data.decode(), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == {"runt": {"schema_version": "1", "env_id": "e"}}
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.cells[0].outputs[0].execution_count is None
    assert notebook.cells[3].attachments == {"i.png": {"image/png": PNG}}
    assert render_notebook([], None, None) == (
        b'{\n "cells": [],\n "metadata": {},\n "nbformat": 4,\n "nbformat_minor": 5\n}\n'
    )


def test_transient_data_is_never_written() -> None:
    output = {
        "output_type": "display_data",
        "data": {"text/plain": "x"},
        "metadata": {},
        "transient": {"display_id": "d"},
    }
    file = parse(minimal([code(outputs=[output], metadata={"trusted": True})], signature="s"))
    assert "transient" not in rendered(file)["cells"][0]["outputs"][0]
    assert rendered(file)["cells"][0]["metadata"] == {}
    fresh = render_notebook([SavedCell("a", "code", "", outputs=[output])], None, None)
    assert b"transient" not in fresh


def test_neighbouring_streams_are_written_as_one() -> None:
    def stream(text: str) -> dict[str, str]:
        return {"output_type": "stream", "name": "stdout", "text": text}

    cell = SavedCell("a", "code", "", outputs=[stream("a"), stream("b\nc")])
    written_cell = json.loads(render_notebook([cell], None, None))["cells"][0]
    assert written_cell["outputs"] == [{**stream(""), "text": ["ab\n", "c"]}]
    # A file that has them apart stays so for as long as they say the same.
    file = parse(minimal([code(outputs=[stream("ab"), stream("\nc")])]))
    together = [SavedCell("a", "code", "", outputs=[stream("ab\nc")])]
    kept = json.loads(render_notebook(together, None, file.raw))["cells"][0]["outputs"]
    assert [output["text"] for output in kept] == [["ab"], ["\n", "c"]]
    changed = [SavedCell("a", "code", "", outputs=[stream("ab\nd")])]
    new = json.loads(render_notebook(changed, None, file.raw))["cells"][0]["outputs"]
    assert [output["text"] for output in new] == [["ab\n", "d"]]


def test_merging_changes_nothing_in_place() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": "a"},
        {"output_type": "stream", "name": "stdout", "text": "b"},
    ]
    assert [output["text"] for output in merge_streams(outputs)] == ["ab"]
    assert outputs[0]["text"] == "a"


def test_unknown_keys_survive_at_every_level() -> None:
    file = parse(
        minimal(
            [
                code(x_cell={"b": 1}),
                {"cell_type": "sheet", "id": "s", "source": "q", "grid": [[1]]},
            ],
            x_top=[1],
            metadata={"x_meta": 1, "kernelspec": {"name": "k", "display_name": "K", "x": 1}},
        )
    )
    result = rendered(file)
    assert result["x_top"] == [1]
    assert result["metadata"] == file.raw["metadata"]
    assert result["cells"][0]["x_cell"] == {"b": 1}
    assert result["cells"][1] == {
        "cell_type": "sheet",
        "id": "s",
        "source": ["q"],
        "grid": [[1]],
        "metadata": {},
    }


def test_attachments_stay_unless_the_cell_becomes_code() -> None:
    attachments = {"a.svg": {"image/svg+xml": ["<svg>\n", "</svg>"]}}
    cell = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": []}
    file = parse(minimal([{**cell, "attachments": attachments}]))
    assert rendered(file)["cells"][0]["attachments"] == attachments
    as_code = [SavedCell("m", "code", "")]
    assert "attachments" not in json.loads(render_notebook(as_code, None, file.raw))["cells"][0]
    replaced = [SavedCell("m", "raw", "", attachments={})]
    assert "attachments" not in json.loads(render_notebook(replaced, None, file.raw))["cells"][0]


def test_attachments_that_say_the_same_are_written_as_the_file_has_them() -> None:
    attachments = {"a.svg": {"image/svg+xml": ["<svg>", "</svg>"]}, "odd": {"text/plain": 1}}
    cell = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": []}
    file = parse(minimal([{**cell, "attachments": attachments}]))
    assert file.cells[0].attachments == {"a.svg": {"image/svg+xml": "<svg></svg>"}}
    same = [SavedCell("m", "markdown", "", attachments=file.cells[0].attachments)]
    assert json.loads(render_notebook(same, None, file.raw))["cells"][0]["attachments"] == (
        attachments
    )
    other = {"b.txt": {"text/plain": "1\n2"}}
    changed = [SavedCell("m", "markdown", "", attachments=other)]
    assert json.loads(render_notebook(changed, None, file.raw))["cells"][0]["attachments"] == {
        "b.txt": {"text/plain": ["1\n", "2"]},
        "odd": {"text/plain": 1},  # never in the document, so nobody has removed it
    }


def test_attachments_of_a_code_cell_are_kept() -> None:
    attachments = {"a.png": {"image/png": PNG}}
    file = parse(minimal([code("c", attachments=attachments)]))
    assert file.cells[0].attachments == attachments
    same = [SavedCell("c", "code", "", attachments=file.cells[0].attachments)]
    assert json.loads(render_notebook(same, None, file.raw))["cells"][0]["attachments"] == (
        attachments
    )


def test_ids_are_made_and_repaired_the_same_way_each_time() -> None:
    cells = [code(None), code("dup"), code("dup"), code("ä b"), code("x" * 70), code("cell-1"), {}]
    del cells[0]["id"]
    value = minimal([*cells[:-1], code(7)], nbformat_minor=2)
    file = parse(value)
    ids = [cell.id for cell in file.cells]
    assert ids == ["cell-1-2", "dup", "dup-2", "--b", "x" * 48, "cell-1", "cell-7"]
    assert [cell["id"] for cell in file.raw["cells"]] == ids
    assert [cell.id for cell in parse(value).cells] == ids
    result = rendered(file)
    nbformat.validate(nbformat.from_dict(result))
    assert result["nbformat_minor"] == 5


@settings(deadline=None)
@given(st.lists(st.text(max_size=70) | st.none() | st.integers()))
def test_ids_are_valid_unique_and_stable(ids: list[object]) -> None:
    repaired = file_cell_ids(ids)
    assert len(set(repaired)) == len(repaired) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell_id) for cell_id in repaired)
    assert file_cell_ids(repaired) == repaired


def test_format_3_is_upgraded() -> None:
    old = {
        "metadata": {"name": "old"},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": ["Head"], "metadata": {}},
                    {
                        "cell_type": "code",
                        "collapsed": False,
                        "input": ["1\n", "2"],
                        "language": "python",
                        "metadata": {},
                        "outputs": [
                            {
                                "output_type": "pyout",
                                "prompt_number": 1,
                                "text": ["2"],
                                "metadata": {},
                            }
                        ],
                        "prompt_number": 1,
                    },
                ],
                "metadata": {},
            }
        ],
    }
    file = parse(old)
    assert [(cell.id, cell.cell_type, cell.source) for cell in file.cells] == [
        ("cell-1", "markdown", "## Head"),
        ("cell-2", "code", "1\n2"),
    ]
    assert file.cells[1].outputs[0]["data"] == {"text/plain": "2"}
    assert file.cells[1].execution_count == 1
    result = rendered(file)
    nbformat.validate(nbformat.from_dict(result))
    assert result["nbformat"] == 4
    assert "worksheets" not in result
    assert result["metadata"] == {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "n.ipynb: Invalid notebook JSON: the file is empty"),
        (
            b'{\n "cells": [,]}',
            "n.ipynb: Invalid notebook JSON: Expecting value (line 2, column 12)",
        ),
        (b'{\n"a": "\xff"}', "n.ipynb: line 2 is not UTF-8"),
        (b"[1]", "n.ipynb: Notebook is not a JSON object"),
        (b'{"name": "package"}', "n.ipynb: not a notebook: it has no 'cells'"),
        (b'{"cells": 5}', "n.ipynb: 'cells' is not an array"),
        (b'{"cells": [], "metadata": 5}', "n.ipynb: 'metadata' is not an object"),
        (b'{"cells": [{}, 5]}', "n.ipynb: cell 2 is not an object"),
        (
            b'{"cells": [{"source": 5}]}',
            "n.ipynb: cell 1: 'source' is neither a text nor a list of lines",
        ),
        (
            b'{"cells": [{"outputs": [5]}]}',
            "n.ipynb: cell 1: 'outputs' is not an array of objects",
        ),
        (
            b'{"cells": [{}, {"outputs": [{}, {"output_type": []}]}]}',
            "n.ipynb: cell 2: the 'output_type' of an output is not a text",
        ),
        (b'{"cells": [{"metadata": 5}]}', "n.ipynb: cell 1: 'metadata' is not an object"),
        (b'{"cells": [{"cell_type": 5}]}', "n.ipynb: cell 1: 'cell_type' is not a text"),
        (
            b'{"nbformat": 5, "cells": []}',
            "n.ipynb: nbformat 5 is newer than 4, the newest that can be read",
        ),
        (b'{"nbformat": "x"}', "n.ipynb: 'nbformat' is not a number"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(data: bytes, message: str) -> None:
    with pytest.raises(NotebookUnreadable) as caught:
        parse_notebook(data, "n.ipynb")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"cells": ' + b"9" * 5000 + b"}",
        b'{"nbformat": 3, "worksheets": 5}',
        b'{"nbformat": 3, "metadata": {}, "worksheets": [{"cells": [5]}]}',
    ],
)
def test_hostile_files_are_refused(data: bytes) -> None:
    with pytest.raises(NotebookUnreadable, match=r"^n\.ipynb: "):
        parse_notebook(data, "n.ipynb")


def test_sparse_files_are_read() -> None:
    assert parse_notebook(b"{}", "n").cells == []
    assert parse_notebook(b'\xef\xbb\xbf{"metadata": {"a": 1}}', "n").metadata == {"a": 1}
    (cell,) = parse_notebook(b'{"cells": [{}]}', "n").cells
    assert (cell.id, cell.cell_type, cell.source, cell.outputs) == ("cell-1", "code", "", [])


def test_numbers_that_are_no_json_become_null() -> None:
    file = parse_notebook(b'{"cells": [], "metadata": {"a": [NaN, -Infinity, 1e999]}}', "n")
    assert rendered(file)["metadata"] == {"a": [None, None, None]}


def test_half_surrogates_neither_fail_nor_reach_the_document() -> None:
    data = b'{"cells": [{"source": "a\\ud800", "cell_type": "raw"}], "metadata": {"\\udc00": 1}}'
    file = parse_notebook(data, "n")
    assert file.cells[0].source == "a\ufffd"
    assert file.metadata == {"\ufffd": 1}
    assert json.loads(render_notebook([SavedCell("a", "raw", "\ud800")], None, None))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON)
def test_the_writer_agrees_with_the_standard_one(value: Any) -> None:
    data = render_notebook([], None, {"metadata": {"x": value}})
    standard = json.dumps(json.loads(data), indent=1, sort_keys=True, ensure_ascii=False)
    assert data.decode() == standard + "\n"
    assert json.loads(data)["metadata"] == {"x": value}


UV = {"dependencies": ["numpy"], "requires-python": ">=3.10"}


def test_the_snapshot_takes_what_fits() -> None:
    assert metadata_snapshot({}) == {"runt": {"schema_version": "1"}}
    assert metadata_snapshot(
        {
            "kernelspec": {"name": "k"},
            "language_info": {"name": "python", "version": None},
            "runt": {"schema_version": "1", "uv": {**UV, "x": 1}, "other": [1], "env_id": None},
            "uv": {"dependencies": ["ignored"]},
        }
    ) == {
        "language_info": {"name": "python"},
        "runt": {"schema_version": "1", "uv": UV, "other": [1]},
    }
    assert metadata_snapshot({"runt": {"uv": UV}, "uv": UV, "conda": {"channels": "no list"}}) == {
        "runt": {"schema_version": "1", "uv": UV}
    }
    assert metadata_snapshot({"conda": {}})["runt"] == {
        "schema_version": "1",
        "conda": {"dependencies": [], "channels": []},
    }


def test_metadata_that_says_the_same_stays_as_it_is() -> None:
    metadata = {
        "kernelspec": {"name": "k", "no display name": 1},
        "language_info": {"name": "python", "codemirror_mode": "x"},
        "uv": UV,
        "z": 1,
    }
    assert merged_metadata(metadata, metadata_snapshot(metadata)) == metadata


def test_language_info_is_merged_and_the_kernelspec_follows_the_kernel() -> None:
    metadata = {
        "kernelspec": {"name": "a", "display_name": "A", "x": 1},
        "language_info": {"name": "python", "version": "3.9", "codemirror_mode": "x"},
    }
    snapshot = {
        "kernelspec": {"name": "a", "display_name": "Again"},
        "language_info": {"name": "python", "version": "3.12"},
        "runt": {"schema_version": "1"},
    }
    merged = merged_metadata(metadata, snapshot)
    assert merged["kernelspec"] == {"name": "a", "display_name": "Again", "x": 1}
    assert merged["language_info"] == {
        "name": "python",
        "version": "3.12",
        "codemirror_mode": "x",
    }
    other = {**snapshot, "kernelspec": {"name": "b", "display_name": "B"}}
    assert merged_metadata(metadata, other)["kernelspec"] == {"name": "b", "display_name": "B"}
    gone = merged_metadata(metadata, {"runt": {"schema_version": "1"}})
    assert gone == {}


def test_cleared_sections_stay_cleared() -> None:
    metadata = {
        "runt": {"schema_version": "1", "uv": {**UV, "x": 1}, "trust_signature": "s", "other": 1}
    }
    cleared = {"runt": {"schema_version": "1", "other": 1}}
    assert merged_metadata(metadata, cleared) == cleared
    smaller = {"runt": {"schema_version": "1", "uv": {"dependencies": []}}}
    assert merged_metadata(metadata, smaller)["runt"]["uv"] == {"dependencies": [], "x": 1}


def test_a_runt_group_that_could_not_be_read_is_not_lost() -> None:
    metadata = {"runt": {"uv": "broken", "x": 1}}
    merged = merged_metadata(metadata, {"runt": {"schema_version": "1", "env_id": "e"}})
    assert merged["runt"] == {"schema_version": "1", "env_id": "e", "uv": "broken", "x": 1}


def test_saving_a_large_notebook_is_quick_and_exact() -> None:
    lines = "".join(f"line {n}\n" for n in range(50_000))
    outputs = [{"output_type": "stream", "name": "stdout", "text": lines}]
    cells = [SavedCell(f"c{n}", "code", "x\ny", n, outputs if n == 0 else []) for n in range(500)]
    data = render_notebook(cells, None, None)
    file = parse_notebook(data, "n")
    assert render_notebook(saved(file), None, file.raw) == data
    assert file.cells[0].outputs == outputs


def test_metadata_nested_deeper_than_a_document_can_is_refused() -> None:
    nested: Any = {}
    for _ in range(150):
        nested = {"a": nested}
    with pytest.raises(NotebookUnreadable, match="cell 1: Metadata is nested too deeply"):
        parse(minimal([code("c", metadata=nested)]))
    with pytest.raises(NotebookUnreadable, match="nested too deeply"):
        parse(minimal(metadata={"runt": {"schema_version": "1", "deep": nested}}))
    parse(minimal(metadata={"other": nested}))  # this stays in the file


def test_a_group_that_the_document_refuses_is_kept_in_the_file() -> None:
    metadata = {
        "kernelspec": {"name": "python3"},  # no display name
        "language_info": {"name": 3},
        "runt": {"schema_version": "1", "uv": {"dependencies": [], "prerelease": "whenever"}},
    }
    file = parse(minimal(metadata=metadata))
    assert file.snapshot == {"runt": {"schema_version": "1"}}
    assert rendered(file)["metadata"] == metadata
    changed = {"runt": {"schema_version": "1", "env_id": "e"}}
    saved = rendered(file, snapshot=changed)["metadata"]
    assert saved["kernelspec"] == metadata["kernelspec"]
    assert saved["language_info"] == metadata["language_info"]


def test_base64_in_other_lines_and_long_numbers_are_no_change() -> None:
    odd = "\n".join([PNG[:10], PNG[10:]]) + "  \n"
    data = {"image/png": odd, "application/x-table": {"rows": [1, 2**70]}, "text/plain": 5}
    output = {"output_type": "display_data", "data": data, "metadata": {"n": 2**70}}
    attachments = {"a.png": {"image/png": odd}}
    notebook = minimal(
        [code("c", outputs=[output], metadata={"n": [2**70]}),
         {"cell_type": "markdown", "id": "m", "metadata": {}, "source": [],
          "attachments": attachments}]
    )  # fmt: skip
    file = parse(notebook)
    manifest = build_manifest(file.cells[0].outputs[0])
    resolved = resolve_manifest(json.loads(manifest.json), lambda _: None)
    resolved["data"]["image/png"] = PNG
    cells = [
        SavedCell("c", "code", "", None, [resolved], {"n": [float(2**70)]}),
        SavedCell("m", "markdown", "", attachments={"a.png": {"image/png": PNG}}),
    ]
    assert json.loads(render_notebook(cells, file.snapshot, file.raw))["cells"] == [
        {**notebook["cells"][0], "source": []},
        notebook["cells"][1],
    ]
