from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from runtimed.environments.uv import (
    base_python,
    failed_package,
    find_uv,
    python_environ,
    uv_environ,
    uv_version,
)
from runtimed.errors import EnvironmentBuildFailed


@pytest.mark.parametrize(
    ("stderr", "package"),
    [
        ("error: Package `Foo-Bar` not found", "foo-bar"),
        ("The package 'foo' needs a compiler", "foo"),
        ("Because foo_bar was not found in the package registry and you require", "foo_bar"),
        ("No matching distribution found for Foo==1.0", "foo"),
        ("Failed to download `foo==1.2.3`", "foo"),
        ("failed to download 'foo[extra]'", "foo"),
        ("Because there is no version of six==99.99 and you require six==99.99", "six"),
        ("Because there are no versions of six and you require six", "six"),
        ("Failed to build `bad==1.0`", "bad"),
        ("Because ipykernel was not found; because nump was not found", "nump"),
        ("Package `ipywidgets` is broken", None),
        ("error: connection refused", None),
        ("", None),
    ],
)
def test_the_package_to_blame_is_found_in_what_uv_says(stderr: str, package: str | None) -> None:
    assert failed_package(stderr) == package


def test_earlier_rules_win_over_earlier_places_in_the_text() -> None:
    assert failed_package("Because a was not found. Package `b` is odd.") == "b"


def test_uv_runs_without_the_settings_of_a_project_and_without_downloading_interpreters(
    tmp_path: Path,
) -> None:
    environ = uv_environ({"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")})
    assert environ["UV_PYTHON_DOWNLOADS"] == "never"
    if not Path("/etc/uv/uv.toml").exists():
        assert environ["UV_NO_CONFIG"] == "1"


def test_the_users_own_uv_settings_hold(tmp_path: Path) -> None:
    settings = tmp_path / ".config" / "uv" / "uv.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("")
    environ = uv_environ({"HOME": str(tmp_path)})
    assert environ["UV_CONFIG_FILE"] == str(settings)
    assert "UV_NO_CONFIG" not in environ
    assert "UV_CONFIG_FILE" not in uv_environ({"HOME": str(tmp_path), "UV_NO_CONFIG": "1"})
    named = uv_environ({"HOME": str(tmp_path), "UV_CONFIG_FILE": "/elsewhere"})
    assert named["UV_CONFIG_FILE"] == "/elsewhere"


def test_indexes_and_certificates_of_the_environment_hold_and_other_environments_do_not() -> None:
    environ = uv_environ(
        {
            "UV_INDEX_URL": "http://index",
            "SSL_CERT_FILE": "/certs",
            "VIRTUAL_ENV": "/other",
            "PYTHONPATH": "/other",
            "UV_PYTHON": "3.8",
        }
    )
    assert environ["UV_INDEX_URL"] == "http://index"
    assert environ["SSL_CERT_FILE"] == "/certs"
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "UV_PYTHON"} & environ.keys()


def test_bytecode_is_written_even_if_the_daemon_was_told_not_to() -> None:
    assert python_environ({"PYTHONDONTWRITEBYTECODE": "1", "A": "b"}) == {"A": "b"}


def test_the_uv_of_the_package_is_preferred() -> None:
    assert find_uv().is_absolute()
    assert find_uv().parent == Path(sys.prefix) / "bin"


def test_a_uv_on_path_is_the_fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentBuildFailed, match="Failed to get uv path"):
        find_uv()
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert find_uv() == tmp_path / "uv"


def test_environments_are_for_the_interpreter_below_the_daemons() -> None:
    assert base_python().exists()
    assert base_python().is_relative_to(sys.base_prefix)


@pytest.mark.real
async def test_what_is_no_uv_is_told_readably(tmp_path: Path) -> None:
    with trio.fail_after(30):
        with pytest.raises(EnvironmentBuildFailed, match="does not work"):
            await uv_version(Path("/bin/false"))
        with pytest.raises(EnvironmentBuildFailed, match="no such program"):
            await uv_version(tmp_path / "uv")
        assert (await uv_version(find_uv())).startswith("uv ")
