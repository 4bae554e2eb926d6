"""Completion in a real bash; what zsh and fish are told, and their scripts if they are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pool_answers import Pretend, pretend, run_command

from runtimed.protocol import pool

__all__ = ["pretend"]

pytestmark = pytest.mark.real

UNTITLED = "0b2f6d1e-6a53-4d2b-9a0e-5c2f0f3e9a77"

#: Completes each line, whose words are as bash has them, quotes and all; prints `--` behind each.
_BASH = """\
eval "$(runt completion bash)"
complete -p runt >&2
while IFS=$'\\x1f' read -r -a COMP_WORDS; do
    unset 'COMP_WORDS[-1]'
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _runt_completion runt
    for reply in "${COMPREPLY[@]}" --; do printf '%s\\n' "$reply"; done
done
"""


def _environ() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _complete(*lines: list[str]) -> list[list[str]]:
    done = subprocess.run(
        ["bash", "--norc", "-c", _BASH],
        input="".join("\x1f".join(["runt", *words, "end"]) + "\n" for words in lines),
        env=_environ(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "complete -o nosort -F _runt_completion runt\n"
    found: list[list[str]] = [[]]
    for line in done.stdout.splitlines():
        if line == "--":
            found.append([])
        else:
            found[-1].append(line)
    return found[:-1]


def _open(pretend: Pretend, folder: Path) -> None:
    rooms = pool.RoomsList(
        [
            pool.RoomInfo(UNTITLED, 1, True, kernel_type="python", kernel_status="idle"),
            pool.RoomInfo(f"{folder}/open.ipynb", 1, False, path=f"{folder}/open.ipynb"),
            pool.RoomInfo("/else/b.ipynb", 1, False, path="/else/b.ipynb"),
        ]
    )

    def answer(request: Any) -> Any:
        return rooms

    pretend(answer)


def test_bash_completes_commands_options_and_notebooks(pretend: Pretend, tmp_path: Path) -> None:
    (tmp_path / "a b ü.ipynb").touch()
    (tmp_path / "text.txt").touch()
    (tmp_path / "below").mkdir()
    _open(pretend, tmp_path)
    commands, values, some, one, files = _complete(
        ["daemon", "st"],
        ["logs", "--level", "err"],
        ["stop", ""],
        ["stop", UNTITLED, UNTITLED[:4]],
        ["run", ""],
    )
    assert sorted(commands) == ["start", "status", "stop"]
    assert values == ["error"]
    assert some == [UNTITLED, "open.ipynb", "/else/b.ipynb"]
    assert one == []  # it was given already
    assert files == [*some, "a\\ b\\ ü.ipynb", "below/"]


def test_bash_completes_files_without_a_daemon(pretend: Pretend, tmp_path: Path) -> None:
    (tmp_path / "a b.ipynb").touch()
    begun, quoted, home, option, nothing = _complete(
        ["run", "a\\ "],
        ["run", "'a b"],
        ["run", "~/a"],
        ["logs", "--notebook", "a"],
        ["stop", "a"],
    )
    assert begun == ["a\\ b.ipynb"]
    assert quoted == ["a b.ipynb"]
    assert home == ["~/a\\ b.ipynb"]
    assert option == ["a\\ b.ipynb"]
    assert nothing == []


def test_bash_completes_environments_and_kernels() -> None:
    kernels, deno, environments, behind, at_colon, after = _complete(
        ["run", "--kernel", ""],
        ["exec", "--kernel", "d"],
        ["run", "--env", "u"],
        ["run", "--env", "uv", ":", "p"],  # as bash parts it
        ["run", "--env", "conda", ":"],
        ["run", "--env", "uv", ":", "prewarmed", "--kernel", "p"],
    )
    assert kernels == ["python", "deno", "auto"]
    assert deno == ["deno"]
    assert environments == ["uv:inline", "uv:pep723", "uv:pyproject", "uv:prewarmed"]
    assert behind == ["pep723", "pyproject", "prewarmed"]
    assert at_colon == ["inline", "pixi", "env_yml", "prewarmed"]
    assert after == ["python"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_what_notebooks_are(
    pretend: Pretend, tmp_path: Path, shell: str
) -> None:
    _open(pretend, tmp_path)
    words = {"COMP_WORDS": "runt stop ", "COMP_CWORD": "2" if shell == "zsh" else ""}
    done = subprocess.run(
        ["runt"],
        env=_environ() | words | {"_RUNT_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    if shell == "zsh":
        assert lines[:3] == ["plain", UNTITLED, "python idle"]
    else:
        assert lines[0] == f"plain,{UNTITLED}\tpython idle"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one_that_its_shell_can_read(tmp_path: Path, shell: str) -> None:
    done = run_command("completion", shell)
    assert done.exit_code == 0
    assert f"_RUNT_COMPLETE={shell}_complete" in done.output
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=done.output, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_a_usage_error() -> None:
    assert run_command("completion", "cmd").exit_code == 2
    assert run_command("completion").exit_code == 2
