"""Whole outputs of `runt env explain`, since they are what a user sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runt_cli.root import runt
from runtimed.document.metadata import snapshot_from_file
from runtimed.environments.trust.content import Content
from runtimed.environments.trust.key import make_key
from runtimed.environments.trust.projects import approve_project
from runtimed.environments.trust.signature import sign

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that the search for project files does not leave."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "RUNTIMED_SOCKET_PATH", "RUNTIMED_DEV"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _notebook(folder: Path, metadata: dict[str, Any], *sources: str) -> None:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "n.ipynb").write_text(json.dumps(content))


def _explain(home: Path, *options: str, notebook: str = "n.ipynb") -> Result:
    before = sorted(home.rglob("*"))
    done = CliRunner().invoke(runt, ["env", "explain", str(home / notebook), *options])
    assert sorted(home.rglob("*")) == before
    return done


def test_a_notebook_with_a_list(home: Path) -> None:
    uv = {"dependencies": ["NumPy>=1", "rich"], "requires-python": ">=3.10"}
    _notebook(home, {**PYTHON, "runt": {"schema_version": "1", "uv": uv}})
    done = _explain(home)
    assert (done.exit_code, done.stderr) == (0, "")
    assert (
        done.stdout
        == """\
Notebook:        ~/n.ipynb
Environment:     uv:inline (Python)
Because:         The notebook is a Python notebook (its kernelspec is "python3").
                 The notebook lists 2 packages for uv.
Python:          >=3.10
PyPI packages:   numpy>=1
                 rich
Approval:        needed: nobody has approved the list on this machine (runt trust NOTEBOOK)
"""
    )


def test_a_notebook_in_a_pixi_project(home: Path) -> None:
    _notebook(home / "a/b", PYTHON)
    (home / "a/pyproject.toml").write_text("[tool.ruff]\n")
    (home / "a/pixi.toml").write_text(
        '[workspace]\nname = "w"\nchannels = ["conda-forge"]\n[tasks]\nx = "y"\n'
        '[dependencies]\npython = ">=3.10,<3.13"\nnumpy = "1.26.*"\n'
        '[pypi-dependencies]\nme = {path = ".", editable = true}\nrich = "*"\n'
        '[activation.env]\nA = "b"\n'
    )
    done = _explain(home, notebook="a/b/n.ipynb")
    assert (
        done.stdout
        == f"""\
Notebook:        ~/a/b/n.ipynb
Environment:     conda:pixi (Python)
Because:         The notebook is a Python notebook (its kernelspec is "python3").
                 The notebook lists no packages.
                 {home}/a/pyproject.toml is passed over: it has no [project] table, uv workspace \
or dependency group.
                 The nearest project file is {home}/a/pixi.toml: its environment "w" is built.
From:            ~/a/pixi.toml
Python:          >=3.10,<3.13
Conda packages:  numpy 1.26.*
Channels:        conda-forge
PyPI packages:   rich
Editable:        ~/a
Variables:       A=b
Approval:        needed for the project file: runt trust NOTEBOOK, or --env conda:pixi
Note:            tasks are not run
"""
    )


def test_a_notebook_in_a_uv_project_as_json(home: Path) -> None:
    _notebook(home, PYTHON)
    (home / "pyproject.toml").write_text(
        '[project]\nname = "p"\ndependencies = ["a>=1"]\nrequires-python = ">=3.10"\n'
        '[dependency-groups]\ndev = ["pytest"]\n[tool.uv]\nindex-url = "https://h"\n'
    )
    done = _explain(home, "--json")
    told = json.loads(done.stdout)
    reasons = told.pop("reasons")
    assert reasons[-1] == (
        f'The nearest project file is {home}/pyproject.toml: uv runs the project "p".'
    )
    assert told == {
        "notebook": f"{home}/n.ipynb",
        "kernel_type": "python",
        "env_source": "uv:pyproject",
        "consent": "project",
        "origin": f"{home}/pyproject.toml",
        "notes": [],
        "project": "p",
        "packages": ["a>=1", "pytest"],
        "python": ">=3.10",
        "indexes": ["https://h"],
        "approved": False,
        "similar_names": [],
    }


def test_a_notebook_that_asks_for_nothing_goes_by_the_settings(home: Path) -> None:
    _notebook(home, PYTHON)
    folder = home / ".config/nteract"
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(
        '{"default_python_env": "conda", "conda": {"default_packages": ["scipy"]}}'
    )
    assert (
        _explain(home).stdout
        == """\
Notebook:        ~/n.ipynb
Environment:     conda:prewarmed (Python)
Because:         The notebook is a Python notebook (its kernelspec is "python3").
                 The notebook lists no packages.
                 No project file is in its reach.
                 The setting default_python_env says conda.
                 A prewarmed conda environment.
Conda packages:  scipy
Approval:        not needed
"""
    )


def test_a_deno_notebook(home: Path) -> None:
    deno = {"permissions": ["--allow-net"], "import_map": "m.json"}
    runt_ = {"schema_version": "1", "deno": deno}
    _notebook(home, {"kernelspec": {"name": "deno", "display_name": "Deno"}, "runt": runt_})
    assert (
        _explain(home, "--env", "uv:prewarmed").stdout
        == """\
Notebook:        ~/n.ipynb
Environment:     deno (Deno)
Because:         The notebook is a Deno notebook (its kernelspec is "deno").
                 A Deno kernel needs no environment: Deno itself fetches what it imports.
Permissions:     --allow-net
Import map:      m.json
Approval:        not needed
Note:            uv:prewarmed is not used: a Deno kernel needs no Python environment
"""
    )


def test_a_script_block(home: Path) -> None:
    _notebook(home, PYTHON, "1", "# /// script\n# dependencies = ['rich']\n# [tool.x]\n# ///")
    assert "The script block in cell 2, line 1, lists 1 package." in _explain(home).stdout
    assert json.loads(_explain(home, "--json").stdout)["notes"] == [
        "[tool.x] in the script block is not used"
    ]


def test_whether_it_was_approved_on_this_machine(home: Path) -> None:
    key = home / ".config/runt/trust-key"
    make_key(key)
    uv = {"dependencies": ["nunpy"]}
    runt_: dict[str, Any] = {"schema_version": "1", "uv": uv}
    _notebook(home, {**PYTHON, "runt": runt_})
    looks_alike = "Look-alike:      nunpy is nearly numpy: which is meant?\n"
    assert looks_alike in _explain(home).stdout
    content = snapshot_from_file({"runt": runt_})
    runt_["trust_signature"] = sign(key.read_bytes(), Content.of(content).to_bytes())
    _notebook(home, {**PYTHON, "runt": runt_})
    assert "Approval:        given on this machine\n" in _explain(home).stdout
    uv["dependencies"].append("rich")
    _notebook(home, {**PYTHON, "runt": runt_})
    assert json.loads(_explain(home, "--json").stdout)["approved"] is False
    key.chmod(0o644)
    assert "Note:            The trust key" in _explain(home).stdout


def test_whether_a_project_file_was_approved_on_this_machine(home: Path) -> None:
    _notebook(home, PYTHON)
    file = home / "environment.yml"
    file.write_text("channels: [c]\ndependencies: [numpy]\n")
    approve_project(home / ".config/runt/trusted-projects.json", file)
    assert "Approval:        given on this machine\n" in _explain(home).stdout
    file.write_text("channels: [c]\ndependencies: [scipy]\n")
    assert "Approval:        needed for the project file" in _explain(home).stdout


def test_what_cannot_be_had_is_one_line_and_an_exit_code(home: Path) -> None:
    _notebook(home, PYTHON)
    (home / "environment.yml").write_text("name: x\n")
    without = 'or start the kernel with env_source="uv:prewarmed" to run without it'
    for options in ((), ("--json",), ("--env", "conda:env_yml")):
        done = _explain(home, *options)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == (
            f"No kernel can be started: {home}/environment.yml: it names the environment "
            '"x" but lists no dependencies. List under dependencies what the notebook needs, '
            f"{without}\n"
        )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file or directory"), ("{", "n.ipynb: "), ("[]", "not a JSON object")],
)
def test_a_file_that_is_no_notebook(home: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (home / "n.ipynb").write_text(content)
    done = _explain(home)
    assert (done.exit_code, done.stdout) == (1, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_help_has_examples() -> None:
    done = CliRunner().invoke(runt, ["env", "explain", "--help"])
    assert "runt env explain analysis.ipynb --env conda:pixi" in done.stdout
    assert "explain" in CliRunner().invoke(runt, ["env", "--help"]).stdout
