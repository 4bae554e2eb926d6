from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.daemon import environment, is_warm, private_environment, uv_cache


@pytest.mark.parametrize(
    ("status", "warm"),
    [
        ({"uv_available": 0}, False),
        ({"uv_available": 1}, True),
        ({"uv_available": 1, "uv_target": 3}, False),
        ({"uv_available": 3, "uv_target": 3, "uv_warming": 1}, False),
        ({"uv_available": 3, "uv_warm_kernels": 0, "uv_warm_kernels_target": 1}, False),
        ({"uv_available": 3, "uv_warm_kernels": 1, "uv_warm_kernels_target": 1}, True),
        ({"uv_available": 3, "uv_error": {"message": "no"}}, True),
    ],
)
def test_a_pool_is_warm_when_it_has_what_was_asked_for(
    status: dict[str, object], warm: bool
) -> None:
    assert is_warm(status) is warm


def test_nothing_of_the_user_leads_into_the_private_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMED_WORKSPACE_PATH", "/elsewhere")
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", "/elsewhere")
    monkeypatch.setenv("BENCHMARKS_KEPT", "yes")
    found = private_environment(tmp_path, tmp_path / "uv")
    assert "/elsewhere" not in found.values()
    assert found["BENCHMARKS_KEPT"] == "yes"
    assert found["RUNTIMED_SOCKET_PATH"] == str(tmp_path / "d" / "runtimed.sock")
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700


def test_an_environment_ends_with_its_block() -> None:
    before = dict(os.environ)
    with environment({"ONLY": "this"}):
        assert dict(os.environ) == {"ONLY": "this"}
    assert dict(os.environ) == before


def test_a_fresh_cache_lies_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/kept")
    assert uv_cache() == Path("/kept/runtimed-benchmarks/uv")
    assert uv_cache(tmp_path) == tmp_path / "uv-cache"
