"""`runt open`: with a script that stands in for a viewer and writes down how it was called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend, run_command

from daemon_home import DaemonHome
from runtimed.protocol import pool
from waiting import wait_until

__all__ = ["pretend"]

pytestmark = pytest.mark.real

UNTITLED = "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77"


class Viewer:
    """A program that writes its arguments down, a line for each."""

    def __init__(self, folder: Path, code: int = 0) -> None:
        self.program = folder / "a viewer"
        self._called = folder / "called"
        self.program.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{folder}/new'\n"
            f"/bin/mv '{folder}/new' '{self._called}'\nexit {code}\n"
        )
        self.program.chmod(0o755)

    @property
    def command(self) -> str:
        return f"'{self.program}'"

    def arguments(self) -> list[str]:
        wait_until(self._called.exists)
        return self._called.read_text().splitlines()

    def was_called(self) -> bool:
        return self._called.exists()


@pytest.fixture
def folder(pretend: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a notebook and without the desktop app; no daemon runs."""
    (tmp_path / "my book.ipynb").write_text("{}")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    return tmp_path


@pytest.mark.parametrize("spelling", ["my book.ipynb", "my book", "./my book", "~/my book"])
def test_a_notebook_is_opened_where_it_lies(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    viewer = Viewer(folder)
    monkeypatch.setenv("RUNT_VIEWER", viewer.command + " --file {path}")
    done = run_command("open", spelling)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"Opened ~/my book.ipynb in {viewer.program}\n"
    assert viewer.arguments() == ["--file", f"{folder}/my book.ipynb"]


def test_the_setting_counts_and_the_other_name_works(folder: Path) -> None:
    viewer = Viewer(folder)
    settings = folder / ".config/nteract/settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"viewer": viewer.command + " {url} {notebook_id}"}))
    assert run_command("notebook", "my book").exit_code == 0
    assert viewer.arguments() == [f"file://{folder}/my%20book.ipynb", f"{folder}/my book.ipynb"]


def test_without_a_path_the_viewer_alone_is_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = Viewer(folder)
    monkeypatch.setenv("RUNT_VIEWER", viewer.command + " --new {path}")
    assert run_command("open").stdout == f"Opened {viewer.program}\n"
    assert viewer.arguments() == ["--new"]


def test_the_desktop_app_is_the_viewer_where_it_is_installed(folder: Path) -> None:
    viewer = Viewer(folder)
    viewer.program.rename(folder / "bin/nteract")
    done = run_command("open", "my book", "-r", "deno")
    assert done.stdout == "Opened ~/my book.ipynb in the desktop app\n"
    assert viewer.arguments() == [f"{folder}/my book.ipynb", "--runtime", "deno"]


def test_without_a_viewer_it_is_said_what_to_do_and_nothing_is_made(folder: Path) -> None:
    for arguments in (("open",), ("open", "my book"), ("open", "new.ipynb")):
        done = run_command(*arguments)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == (
            "No viewer is configured, and the desktop app is not installed. Set RUNT_VIEWER, or "
            f'"viewer" in {folder}/.config/nteract/settings.json, to the command that opens a '
            "notebook, such as 'jupyter lab {path}'\n"
        )
    assert not (folder / "new.ipynb").exists()


def test_a_viewer_that_can_not_be_started_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNT_VIEWER", "no-such-viewer")
    assert run_command("open", "my book").stderr == (
        "The viewer can't be started: No such file or directory: "
        f"no-such-viewer '{folder}/my book.ipynb'\n"
    )
    monkeypatch.setattr("runtimed.client.viewer._AT_ONCE", 30.0)
    viewer = Viewer(folder, code=7)
    monkeypatch.setenv("RUNT_VIEWER", viewer.command)
    done = run_command("open", "my book")
    assert done.exit_code == 1
    assert done.stderr == (
        f"The viewer ended with exit code 7: '{viewer.program}' '{folder}/my book.ipynb'\n"
    )


def test_a_notebook_can_not_be_made_where_there_is_no_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = Viewer(folder)
    monkeypatch.setenv("RUNT_VIEWER", viewer.command)
    done = run_command("open", "missing/new")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"Failed to open notebook: there is no folder {folder}/missing\n"
    assert not viewer.was_called()


def test_an_untitled_notebook_is_for_viewers_that_take_ids(
    pretend: Pretend, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Any) -> Any:
        return pool.RoomsList([pool.RoomInfo(UNTITLED, 1, False)])

    pretend(answer)
    viewer = Viewer(folder)
    monkeypatch.setenv("RUNT_VIEWER", viewer.command + " {path}")
    done = run_command("open", "0b2f")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"{UNTITLED} is untitled: there is no file to open, and RUNT_VIEWER does not name "
        "{notebook_id}\n"
    )
    monkeypatch.setenv("RUNT_VIEWER", viewer.command + " {notebook_id}")
    assert run_command("open", "0b2f").stdout == f"Opened {UNTITLED} in {viewer.program}\n"
    assert viewer.arguments() == [UNTITLED]


@pytest.fixture
def new_notebook(daemon_home: DaemonHome) -> Iterator[Path]:
    path = daemon_home.home / "brand new.ipynb"
    yield path
    path.unlink(missing_ok=True)


def test_a_missing_notebook_is_made_by_the_daemon(
    daemon_home: DaemonHome, new_notebook: Path, tmp_path: Path
) -> None:
    viewer = Viewer(tmp_path)
    environ = daemon_home.env | {"RUNT_VIEWER": viewer.command}
    done = daemon_home.runt("open", "--runtime", "deno", "brand new", env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"Created ~/brand new.ipynb\nOpened ~/brand new.ipynb in {viewer.program}\n"
    )
    assert viewer.arguments() == [str(new_notebook)]
    content = json.loads(new_notebook.read_bytes())
    assert content["metadata"]["kernelspec"]["name"] == "deno"
    assert len(content["cells"]) == 1
