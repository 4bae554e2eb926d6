"""Notebook files of every format through a real daemon: open, save, open again."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon_home import DaemonHome
from notebook_samples import FORMATS, as_jupyter_writes, comparable, sample, upgraded
from runtimed import Session
from runtimed.errors import RuntimedError

pytestmark = pytest.mark.real

nbformat: Any = importlib.import_module("nbformat")


def contents(session: Session) -> list[Any]:
    return [
        (cell.id, cell.cell_type, cell.source, repr(cell.outputs)) for cell in session.get_cells()
    ]


def test_a_saved_notebook_is_what_jupyter_would_have_made_of_it(
    bare_daemon: Callable[..., DaemonHome],
    open_session: Callable[..., Session],
    tmp_path: Path,
) -> None:
    home = bare_daemon()
    for major, minor in FORMATS:
        path = tmp_path / f"{major}-{minor}.ipynb"
        data = as_jupyter_writes(sample(major, minor))
        path.write_bytes(data)
        session = open_session(home, path)
        before = contents(session)
        session.save()
        saved = path.read_bytes()
        nbformat.validate(nbformat.reads(saved.decode(), as_version=4))
        assert comparable(json.loads(saved)) == upgraded(data), (major, minor)
        if (major, minor) == (4, 5):
            assert saved == data  # untouched, so byte for byte
        session.save()
        assert path.read_bytes() == saved
        copy = path.with_name(f"copy-{path.name}")  # known by the file alone
        copy.write_bytes(saved)
        again = open_session(home, copy)
        assert contents(again) == before
        again.save()
        assert copy.read_bytes() == saved


def test_a_file_that_json_or_unicode_forbids_differs_in_that_alone(
    bare_daemon: Callable[..., DaemonHome],
    open_session: Callable[..., Session],
    tmp_path: Path,
) -> None:
    notebook = sample(4, 5)
    notebook["cells"][0]["metadata"]["not"] = "NUMBER"
    notebook["cells"][1]["outputs"][3]["data"]["application/json"]["not"] = "NUMBER"
    notebook["metadata"]["half"] = "HALF"
    notebook["cells"][3]["source"] = ["x = 'HALF'"]
    expected = as_jupyter_writes(notebook)
    data = expected.replace(b'"NUMBER"', b"NaN").replace(b"HALF", rb"\ud83d")
    path = tmp_path / "n.ipynb"
    path.write_bytes(data)
    session = open_session(bare_daemon(), path)
    session.save()
    expected = expected.replace(b'"NUMBER"', b"null").replace(b"HALF", "\ufffd".encode())
    assert path.read_bytes() == expected
    session.save()
    assert path.read_bytes() == expected


def test_an_edit_changes_what_was_edited_and_nothing_else(
    bare_daemon: Callable[..., DaemonHome],
    open_session: Callable[..., Session],
    tmp_path: Path,
) -> None:
    notebook = sample(4, 5)
    path = tmp_path / "n.ipynb"
    path.write_bytes(as_jupyter_writes(notebook))
    session = open_session(bare_daemon(), path)
    session.set_source("z", "edited\nraw")
    session.save()
    notebook["cells"][3]["source"] = ["edited\n", "raw"]
    assert path.read_bytes() == as_jupyter_writes(notebook)


def test_a_session_formats_what_it_saves_and_clones_it(
    bare_daemon: Callable[..., DaemonHome],
    open_session: Callable[..., Session],
    tmp_path: Path,
) -> None:
    notebook = sample(4, 5)
    path = tmp_path / "n.ipynb"
    path.write_bytes(as_jupyter_writes(notebook))
    home = bare_daemon()
    session = open_session(home, path)
    session.set_source("0", "x  =  {  'a':1};")
    assert session.save(format_cells=True) == str(path)
    assert session.get_cell("0").source == 'x = {"a": 1};'
    copy = tmp_path / "copy.ipynb"
    assert session.clone_notebook(tmp_path / "copy") == str(copy)
    with pytest.raises(RuntimedError, match="exists already"):
        session.clone_notebook(copy)
    cloned = json.loads(copy.read_bytes())
    saved = json.loads(path.read_bytes())
    assert [cell["source"] for cell in cloned["cells"]] == [c["source"] for c in saved["cells"]]
    assert cloned["cells"][0]["attachments"] == notebook["cells"][0]["attachments"]
    assert not any(cell.get("outputs") for cell in cloned["cells"])
    assert cloned["metadata"]["runt"]["env_id"] != notebook["metadata"]["runt"]["env_id"]
    assert session.clone_notebook(copy, overwrite=True) == str(copy)
    assert contents(open_session(home, copy))[2][2] == 'x = {"a": 1};'
