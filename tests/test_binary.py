"""Finding programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from runtimed import _binary
from runtimed._binary import BinaryNotFoundError, find_binary
from runtimed.errors import RuntimedError


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("RUNTIMED_SOME_TOOL_PATH", raising=False)
    monkeypatch.setattr(_binary, "__file__", str(tmp_path / "package" / "_binary.py"))
    monkeypatch.setattr(sys, "platform", "linux")


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_each_place_is_looked_at_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = program(tmp_path / "home/.local/share/runt/bin/some-tool")
    assert find_binary("some-tool") == home
    on_path = program(tmp_path / "path/some-tool")
    assert find_binary("some-tool") == on_path
    packaged = program(tmp_path / "package/_bin/some-tool")
    assert find_binary("some-tool") == packaged
    told = program(tmp_path / "told")
    monkeypatch.setenv("RUNTIMED_SOME_TOOL_PATH", told)
    assert find_binary("some-tool") == told


def test_a_program_that_is_nowhere_is_an_error_that_names_every_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_SOME_TOOL_PATH", "/no/such/file")
    with pytest.raises(BinaryNotFoundError) as caught:
        find_binary("some-tool")
    places = [
        "$RUNTIMED_SOME_TOOL_PATH: /no/such/file",
        f"{tmp_path}/package/_bin/some-tool",
        "PATH",
        "/usr/local/bin/some-tool",
        f"{tmp_path}/home/.local/share/runt/bin/some-tool",
    ]
    assert caught.value.binary_name == "some-tool"
    assert caught.value.searched_paths == places
    assert (
        str(caught.value)
        == "\n  ".join(["Could not find 'some-tool' binary. Searched:", *places])
        + "\nOr set RUNTIMED_SOME_TOOL_PATH to the binary path."
    )
    assert isinstance(caught.value, RuntimedError)


def test_a_file_that_can_not_be_run_is_no_program(tmp_path: Path) -> None:
    path = Path(program(tmp_path / "package/_bin/some-tool"))
    path.chmod(0o644)
    with pytest.raises(BinaryNotFoundError):
        find_binary("some-tool")


def test_the_macs_folder_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    home = program(tmp_path / "home/Library/Application Support/runt/bin/some-tool")
    assert find_binary("some-tool") == home
