"""Kernelspecs as other programs install them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from runtimed.errors import KernelNotInstalled
from runtimed.jupyter.kernelspecs import find_kernelspec, find_kernelspecs


def _install(data: Path, name: str, content: Any) -> Path:
    folder = data / "kernels" / name
    folder.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "kernel.json").write_text(text)
    return folder


def test_a_kernelspec_gives_a_command_and_an_environment(tmp_path: Path) -> None:
    content = {
        "argv": ["{resource_dir}/run", "--to={connection_file}", "{other}"],
        "display_name": "R",
        "language": "R",
        "env": {"R_HOME": "${HOME}/r", "LEVEL": "2"},
        "interrupt_mode": "message",
    }
    folder = _install(tmp_path, "IR", content)
    environ = {"JUPYTER_PATH": str(tmp_path), "HOME": "/h"}
    spec = find_kernelspec("ir", environ)
    assert spec.command(Path("/c.json")) == [f"{folder}/run", "--to=/c.json", "{other}"]
    assert spec.environment(environ) == environ | {"R_HOME": "/h/r", "LEVEL": "2"}
    assert (spec.name, spec.language, spec.interrupt_mode) == ("ir", "R", "message")


def test_python_is_that_of_the_environment_with_the_kernelspec(tmp_path: Path) -> None:
    argv = ["python", "-m", "k", "{connection_file}"]
    _install(tmp_path / "share" / "jupyter", "mine", {"argv": argv})
    (tmp_path / "bin").mkdir()
    own = tmp_path / "bin" / "python"
    own.touch()
    environ = {"VIRTUAL_ENV": str(tmp_path), "HOME": "/h"}
    assert find_kernelspec("mine", environ).command(Path("/c"))[0] == str(own)
    elsewhere = tmp_path / "data"
    _install(elsewhere, "other", {"argv": argv})
    environ = {"JUPYTER_DATA_DIR": str(elsewhere), "HOME": "/h"}
    assert find_kernelspec("other", environ).command(Path("/c"))[0] == sys.executable


def test_the_first_folder_wins_and_what_is_broken_is_left_out(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    _install(one, "a", {"argv": ["first"]})
    _install(two, "a", {"argv": ["second"]})
    for n, broken in enumerate(("{", "7", {"argv": []}, {"argv": "x"}, {"argv": [1]})):
        _install(two, f"broken{n}", broken)
    (two / "kernels" / "stray-file").touch()
    environ = {"JUPYTER_PATH": f"{one}:{two}:/missing", "HOME": "/h", "JUPYTER_DATA_DIR": "/d"}
    specs = find_kernelspecs(environ)
    assert specs["a"].argv == ("first",)
    assert not any(name.startswith(("broken", "stray")) for name in specs)
    with pytest.raises(KernelNotInstalled) as caught:
        find_kernelspec("nix", environ)
    assert str(caught.value) == "Kernel 'nix' not found. Available kernels: [a, python3]"
