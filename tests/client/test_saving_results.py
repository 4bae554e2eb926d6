"""Where a run writes is looked at before; a save that fails loses nothing and says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback_sessions import open_daemon

from in_process import Runt
from runt_cli.saving import check_target, save_results
from runtimed import AsyncSession, RuntimedError


def test_a_place_that_can_be_written_to_is_fine(tmp_path: Path) -> None:
    check_target("--output", tmp_path / "out.ipynb")


def test_a_place_that_can_not_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for path, message in [
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "x.ipynb", "no does not exist"),
        (tmp_path / "file" / "x.ipynb", "file is no folder"),
    ]:
        with pytest.raises(RuntimedError, match=f"^--output: .*{message}"):
            check_target("--output", path)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(RuntimedError, match="nothing can be written in the folder"):
        check_target("--output", tmp_path / "out.ipynb")


def test_nothing_is_run_for_a_place_that_can_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "n.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4}')
    result = Runt(tmp_path, monkeypatch)("run", "n.ipynb", "--output", "out/x.ipynb")
    assert str(result.exception) == "--output: the folder out does not exist"


async def test_a_save_that_fails_is_reported_with_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    async with open_daemon(tmp_path), await AsyncSession.open_notebook(path) as session:
        saved = await save_results(session, save=True, output=str(tmp_path / "no" / "x.ipynb"))
        assert saved.paths == (str(path),)
        assert saved.error is not None
        assert saved.error.startswith(f"{tmp_path}/no/x.ipynb was not saved: ")
