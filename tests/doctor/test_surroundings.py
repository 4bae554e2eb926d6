from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from in_process import Runt
from runtimed.doctor.checkup import examine
from runtimed.doctor.finding import Check, Finding
from runtimed.doctor.site import user_site
from runtimed.doctor.surroundings import disk, home, tools


@pytest.fixture
def runt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runt:
    return Runt(tmp_path, monkeypatch)


def _wrong(check: Check) -> list[Finding]:
    return [one for one in examine(user_site(), [check]) if one.is_wrong]


def test_a_missing_home_is_told(runt: Runt, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _wrong(home) == []
    monkeypatch.setenv("HOME", str(runt.home / "nowhere"))
    assert [one.what for one in _wrong(home)] == ["The home folder does not exist"]
    monkeypatch.delenv("HOME")
    assert [one.what for one in _wrong(home)] == ["HOME is not set"]


def test_a_place_that_cannot_be_written_is_told(
    runt: Runt, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runt.home / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(runt.home / "file" / "config"))
    (finding,) = _wrong(home)
    assert finding.what == f"{runt.home}/file is no folder, so there is no place for settings"


@pytest.mark.real
def test_a_read_only_disk_and_a_full_one_are_told(
    runt: Runt, monkeypatch: pytest.MonkeyPatch, small_disk: Callable[..., Path]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk("size=8m")))
    (full,) = _wrong(disk)
    assert (full.status, full.what.endswith("is full: 8 MiB are free")) == ("error", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk("size=200m")))
    (nearly,) = _wrong(disk)
    assert (nearly.status, "is nearly full" in nearly.what) == ("warning", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk("ro,size=8m")))
    (read_only,) = _wrong(home)
    assert "is on a read-only file system, so there is no place for the daemon's" in read_only.what


def test_a_missing_uv_is_told(runt: Runt, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _wrong(tools) == []
    monkeypatch.setitem(__import__("sys").modules, "uv", None)
    monkeypatch.setenv("PATH", str(runt.home))
    (finding,) = _wrong(tools)
    assert finding.what.startswith("uv is missing: ")


def test_channels_that_are_none_are_told(runt: Runt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIMED_CONDA_CHANNELS", "../elsewhere")
    (finding,) = _wrong(tools)
    assert finding.remedy == "Correct the variable"
