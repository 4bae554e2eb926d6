"""Starting the desktop app: a script stands in for it and writes down how it was called."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

import runtimed
from runtimed.errors import RuntimedError


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("RUNTIMED_DEV", "RUNTIMED_WORKSPACE_PATH", "CONDUCTOR_WORKSPACE_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path / "called"


def stand_in(path: Path, called: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "$0" "$@" > {called}.new; mv {called}.new {called}\n')
    path.chmod(0o755)
    return path


def wait_called(called: Path) -> str:
    deadline = time.monotonic() + 30
    while not called.exists():
        assert time.monotonic() < deadline, "not called"
        time.sleep(0.01)
    return called.read_text().strip()


@pytest.mark.real
def test_the_installed_app_is_started_on_the_file(
    tmp_path: Path, called: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = stand_in(tmp_path / "bin/nteract", called)
    monkeypatch.chdir(tmp_path)
    runtimed.show_notebook_app("some book.ipynb")
    assert wait_called(called) == f"{app} {tmp_path}/some book.ipynb"
    called.unlink()
    runtimed.show_notebook_app(tmp_path / "a.ipynb")
    assert wait_called(called) == f"{app} {tmp_path}/a.ipynb"
    called.unlink()
    runtimed.show_notebook_app()
    assert wait_called(called) == str(app)


def test_no_app_is_an_error_that_says_what_was_tried(called: Path) -> None:
    with pytest.raises(
        RuntimeError,
        match=r"^Failed to launch nteract: last attempt \(nteract\) failed: .*No such file",
    ) as caught:
        runtimed.show_notebook_app()
    assert isinstance(caught.value, RuntimedError)


@pytest.mark.real
def test_in_development_mode_it_is_the_workspaces_own_build(
    tmp_path: Path, called: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path / "bin/nteract", called)
    monkeypatch.setenv("RUNTIMED_WORKSPACE_PATH", str(tmp_path))
    build = tmp_path / "target/debug/notebook"
    with pytest.raises(RuntimeError, match=rf"^No notebook binary found at {build}\. "):
        runtimed.show_notebook_app()
    stand_in(build, called)
    runtimed.show_notebook_app("/x.ipynb")
    assert wait_called(called) == f"{build} /x.ipynb"
