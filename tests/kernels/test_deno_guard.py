"""What permissions allow, decided without a Deno."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimed.kernels.deno_guard import KINDS, Rules

FOLDER = Path("/home/ada/notebooks")


def allows(entries: list[str], kind: str, value: str | None) -> bool:
    return Rules(entries, FOLDER).allows(kind, value)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_allowed_that_is_not_listed(kind: str) -> None:
    assert not allows([], kind, None)
    assert not allows([], kind, "x")
    assert allows([f"--allow-{kind}"], kind, None)
    assert allows([f"--allow-{kind}"], kind, "x")
    assert not allows([f"--allow-{kind}=x"], kind, None)
    assert not allows([f"--allow-{kind}", f"--deny-{kind}"], kind, "x")


@pytest.mark.parametrize("entry", ["-A", "--allow-all", "A", "all"])
def test_everything_can_be_allowed_and_some_of_it_denied(entry: str) -> None:
    assert all(allows([entry], kind, "x") and allows([entry], kind, None) for kind in KINDS)
    assert not allows([entry, "--deny-env=SECRET"], "env", "SECRET")
    assert not allows([entry, "--deny-env=SECRET"], "env", None)
    assert allows([entry, "--deny-env=SECRET"], "env", "OTHER")
    assert not allows([entry], "a kind of a later Deno", "x")


def test_entries_may_be_short_and_without_dashes() -> None:
    for entry in ("--allow-net", "allow-net", "net", "-N"):
        assert allows([entry], "net", "example.com:443")


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("example.com", "example.com:443", True),
        ("example.com:443", "example.com:443", True),
        ("example.com:80", "example.com:443", False),
        ("EXAMPLE.com", "example.com", True),
        ("example.com", "evil-example.com:443", False),
        ("example.com", "example.com.evil.org:443", False),
        ("*.example.com", "a.example.com:443", True),
        ("*.example.com", "example.com.evil:443", False),
        ("127.0.0.1", "127.0.0.1:8000", True),
        ("[::1]:80", "[::1]:80", True),
        ("[::1]:80", "[::1]:81", False),
        ("[::1]", "[::1]:81", True),
    ],
)
def test_hosts(rule: str, value: str, expected: bool) -> None:
    assert allows([f"--allow-net={rule}"], "net", value) is expected


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        (".", "/home/ada/notebooks", True),
        (".", "/home/ada/notebooks/a/b", True),
        ("data", "/home/ada/notebooks/data/x", True),
        ("data", "/home/ada/notebooks/database", False),
        ("data", "/home/ada/notebooks/data/../secret", False),
        ("../common", "/home/ada/common/x", True),
        ("/", "/etc/passwd", True),
        ("/etc", "/home/ada/notebooks/../../../etc/passwd", True),
    ],
)
def test_paths(rule: str, value: str, expected: bool) -> None:
    assert allows([f"--allow-read={rule}"], "read", value) is expected


def test_a_link_out_of_an_allowed_folder_or_into_a_denied_one_is_denied(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out" / "file")
    rules = Rules(["--allow-read=in"], tmp_path)
    assert rules.allows("read", str(tmp_path / "in" / "file"))
    assert not rules.allows("read", str(tmp_path / "in" / "link"))
    rules = Rules(["--allow-read", "--deny-read=out"], tmp_path)
    assert not rules.allows("read", str(tmp_path / "in" / "link"))
    assert not rules.allows("read", str(tmp_path / "out" / "file"))


def test_variables_and_programs() -> None:
    assert allows(["--allow-env=AWS_*,HOME"], "env", "AWS_REGION")
    assert not allows(["--allow-env=AWS_*,HOME"], "env", "HOMEDRIVE")
    assert allows(["--allow-run=sh"], "run", "sh")
    assert not allows(["--allow-run=sh"], "run", "/tmp/sh")


def test_a_program_is_known_by_where_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tool"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    assert allows(["--allow-run=tool"], "run", str(program))


def test_importing_is_allowed_from_where_deno_imports_by_itself() -> None:
    assert allows([], "import", "jsr.io:443")
    assert not allows([], "import", "jsr.io:80")
    assert not allows([], "import", "example.com:443")
    assert not allows(["--deny-import"], "import", "jsr.io:443")


@pytest.mark.parametrize(
    "entry",
    [
        *("", "-", "--allow", "--allow-x", "--deny-all", "x", "--allow-net=", "--allow-net=a,,b"),
        *("--allow-all=x", "--allow-net=10.0.0.0/8", "--allow-net=http://a", "--no-allow-net"),
    ],
)
def test_what_is_no_permission_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Rules([entry], FOLDER)


@given(st.text(max_size=30), st.sampled_from(KINDS), st.none() | st.text(max_size=30))
def test_a_denied_kind_is_denied_whatever_else_is_said(
    entry: str, kind: str, value: str | None
) -> None:
    try:
        rules = Rules([entry, "-A", f"--deny-{kind}"], FOLDER)
    except ValueError:
        return
    assert not rules.allows(kind, value)
