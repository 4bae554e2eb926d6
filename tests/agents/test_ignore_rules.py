"""Section 5.1: gitignore's rules for artifact folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runtimed.agents.ignore_rules import DEFAULT_RULES, IGNORE_FILE, IgnoreRules

NAMES = ["a", "b", "build", "keep.txt", "x.log", "#hash", "with space", "!bang", "dir"]
PATHS = [
    *(f"{name}" for name in NAMES if "." in name or name[0] in "#!w"),
    "a/keep.txt",
    "a/b/x.log",
    "a/b/keep.txt",
    "build/out.o",
    "dir/build/keep.txt",
    "dir/a/x.log",
    "dir/sub/a/keep.txt",
    "dir/sub/y.log",
]
RULES = [
    "*.log",
    "/build",
    "build/",
    "a/*\n!a/b",
    "a/\n!a/keep.txt",
    "*\n!*/\n!*.txt",
    "/*\n!/dir\n/dir/*\n!/dir/sub",
    "**/a/*.txt",
    "dir/**/x.log",
    "dir/**",
    "\\#hash",
    "\\!bang\n# a comment",
    "with\\ space",
    "keep.txt  ",
    "[ab]",
    "?.log",
    "*.log\n!x.log",
    "sub/a",
    "!",
    "/",
    "**",
    "**/",
    "a/**/",
    "dir/**\n!dir/sub",
    "d[a-j]r/",
    "[!a-z]*",
    "[^a]*.txt",
    "[]a]",
    "[[:alpha:]].log",
    "[ab",
    "x\\",
    "with space\\ ",
    "*a*",
    "a**b",
    "**b",
    "dir/s*/y.log",
    "dir/s?b/",
    "*/*/keep.txt",
    "\\*",
    "[a-]",
    "[\\a]",
    "",
]


def left_by(rules: IgnoreRules) -> set[str]:
    """What is uploaded of PATHS, asked from the top as a walk does."""
    left = set()
    for path in PATHS:
        parts = path.split("/")
        parents = ["/".join(parts[:length]) for length in range(1, len(parts))]
        entered = not any(rules.ignores(each, folder=True) for each in parents)
        if entered and not rules.ignores(path, folder=False):
            left.add(path)
    return left


@pytest.mark.real
def test_the_rules_are_gits(tmp_path: Path) -> None:
    """Section 5.1: "usual gitignore rules hold", held against git itself."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for path in PATHS:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    for text in RULES:
        (tmp_path / ".git" / "info" / "exclude").write_text(text)
        listed = subprocess.run(
            ["git", "ls-files", "--others", "--exclude-standard", "-z"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert left_by(IgnoreRules.from_text(text)) == set(listed.split("\0")) - {""}, text


def test_letter_case_is_ignored() -> None:
    """Section 5.1: "letter case ignored"."""
    assert IgnoreRules(["*.LOG", "Build/"]).ignores("x.log", folder=False)
    assert IgnoreRules(["Build/"]).ignores("BUILD", folder=True)


def test_the_defaults_leave_out_environments_and_the_file_env() -> None:
    """Section 5.1, defaults; weakness 25: a file `.env` is uploaded."""
    rules = IgnoreRules(DEFAULT_RULES)
    for folder in ("node_modules", ".venv", ".env", "env", "a/venv", "dist", "b/__pycache__"):
        assert rules.ignores(folder, folder=True), folder
    assert rules.ignores(".env", folder=False)
    assert not rules.ignores("dist", folder=False)
    assert not rules.ignores("plot.png", folder=False)


def test_the_ignore_file_itself_is_never_uploaded() -> None:
    """Section 5.1: at any depth, whatever the rules say."""
    rules = IgnoreRules.from_text(f"!{IGNORE_FILE}")
    assert rules.ignores(IGNORE_FILE, folder=False)
    assert rules.ignores(f"deep/down/{IGNORE_FILE}", folder=False)


def test_empty_rules_ignore_nothing() -> None:
    """Section 5.1: content of the request counts also when it is the empty string."""
    assert not IgnoreRules.from_text("").ignores("node_modules", folder=True)


def test_line_ends_of_windows_and_a_mark_are_no_part_of_a_rule() -> None:
    rules = IgnoreRules.from_text("\ufeff*.log\r\n*.tmp\r\n")
    assert rules.ignores("a.log", folder=False)
    assert rules.ignores("a.tmp", folder=False)


def test_a_line_that_is_no_rule_is_skipped() -> None:
    rules = IgnoreRules(["*.log", "[a"])
    assert rules.refused == ["[a"]
    assert rules.ignores("a.log", folder=False)
