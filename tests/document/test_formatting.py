"""What formatters are given, and how their answers are read; which language a notebook is in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from runtimed.document.formatting import (
    formatted_sources,
    has_magics,
    rejected_cell,
    without_last_newline,
    wrapped,
)
from runtimed.document.runtime import notebook_runtime


@pytest.mark.parametrize(
    "source",
    [
        "%time x",
        "x = 1\n  %%bash\nls",
        "!ls",
        "?print",
        "print?",
        "a = !ls",
        "b = %time x",
        "a?\nb",
    ],
)
def test_cells_with_magics_are_told(source: str) -> None:
    assert has_magics(source)


@pytest.mark.parametrize("source", ["x = 1 % 2", "a != b", "f('?')", "x = a != b", "'100 %'", "~x"])
def test_ordinary_python_is_no_magic(source: str) -> None:
    assert not has_magics(source)


def test_cells_travel_as_one_notebook_and_come_back_in_order() -> None:
    sources = ["a", "b\n\u2028", "\U0001f600"]
    assert formatted_sources(wrapped(sources), 3) == sources
    notebook = orjson.loads(wrapped(["a"]))
    notebook["cells"][0]["source"] = ["x\n", "y"]
    assert formatted_sources(orjson.dumps(notebook), 1) == ["x\ny"]
    with pytest.raises(ValueError, match="2 cells"):
        formatted_sources(wrapped(["a", "b"]), 3)


def test_the_cell_that_can_not_be_read_is_named_in_the_complaint() -> None:
    complaint = "error: Failed to parse cell.ipynb:2:1:5: Expected an expression"
    assert rejected_cell(complaint, 2) == 1
    assert rejected_cell(complaint, 1) is None
    assert rejected_cell("ruff failed\n  Cause: no such setting", 3) is None


def test_one_newline_at_the_end_belongs_to_files() -> None:
    assert without_last_newline("a\n") == "a"
    assert without_last_newline("a\n\n") == "a\n"
    assert without_last_newline("a") == "a"


@pytest.mark.parametrize(
    ("snapshot", "runtime"),
    [
        (None, None),
        ({}, None),
        ({"kernelspec": {"name": "Deno"}}, "deno"),
        ({"kernelspec": {"name": "python3"}, "runt": {"deno": {}}}, "python"),
        ({"kernelspec": {"name": "x", "language": "TypeScript"}}, "deno"),
        ({"kernelspec": {"name": "x", "language": "python"}}, "python"),
        ({"kernelspec": {"name": "ir", "language": "R"}, "language_info": {"name": "R"}}, None),
        ({"language_info": {"name": "javascript"}}, "deno"),
        ({"language_info": {"name": "python"}}, "python"),
        ({"runt": {"schema_version": "1", "deno": {"permissions": []}}}, "deno"),
    ],
)
def test_the_language_of_a_notebook_is_that_of_its_kernel(
    snapshot: Any, runtime: str | None
) -> None:
    assert notebook_runtime(snapshot) == runtime
