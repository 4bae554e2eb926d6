"""Files that can be read as notebooks but not kept: refused before anything is opened."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runtimed.errors import NotebookUnreadable
from runtimed.rooms import notebook_file
from runtimed.rooms.notebook_file import read_digest, read_if_other, read_notebook


def write(path: Path, **parts: Any) -> Path:
    cell = {"cell_type": "markdown", "id": "c", "metadata": {}, "source": "", **parts}
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    return path


def test_what_no_blob_can_hold_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_file, "BLOB_LIMIT", 1024 * 1024)
    huge = "x" * (1024 * 1024 + 1)
    output = {"output_type": "stream", "name": "stdout", "text": huge}
    path = write(tmp_path / "a.ipynb", cell_type="code", execution_count=None, outputs=[output])
    with pytest.raises(NotebookUnreadable, match=r"a.ipynb: an output of cell c has \d+ bytes"):
        read_notebook(path)
    path = write(tmp_path / "b.ipynb", attachments={"a.txt": {"text/plain": huge}})
    with pytest.raises(NotebookUnreadable, match=r"b.ipynb: an attachment has \d+ bytes"):
        read_notebook(path)


def test_an_output_of_an_unknown_type_is_kept_exactly(tmp_path: Path) -> None:
    output = {"output_type": "new", "huge": 2**80, "text": ["a", "b"]}
    path = write(tmp_path / "a.ipynb", cell_type="code", execution_count=None, outputs=[output])
    assert json.loads(read_notebook(path).version.state.cells[0].outputs[0]) == output


@pytest.mark.parametrize("output_type", [5, None, [], {}])
def test_an_output_whose_type_is_no_text_is_named(tmp_path: Path, output_type: Any) -> None:
    outputs = [{"output_type": output_type}]
    path = write(tmp_path / "a.ipynb", cell_type="code", execution_count=None, outputs=outputs)
    with pytest.raises(NotebookUnreadable, match=r"a.ipynb: cell 1: the 'output_type' of an"):
        read_notebook(path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "n.ipynb"
    make(path)
    for read in (read_notebook, read_digest, lambda path: read_if_other(path, ())):
        with pytest.raises(NotebookUnreadable, match=r"n.ipynb': it is no regular file"):
            read(path)
