from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.projects.project_file import FILE_NAMES, ProjectFile
from runtimed.environments.resolution import Situation, resolve
from runtimed.environments.script_block import CodeCell
from runtimed.environments.wanted import (
    CondaPackages,
    DenoRuntime,
    Pooled,
    UvPackages,
    UvProject,
)
from runtimed.errors import RuntimedError

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
DENO = {"kernelspec": {"name": "deno", "display_name": "Deno"}}
BLOCK = CodeCell(1, '# /// script\n# dependencies = ["rich"]\n# requires-python = ">=3.9"\n# ///')

CONTENT = {
    "pyproject.toml": '[project]\nname = "p"\n',
    "pixi.toml": '[workspace]\nchannels = ["conda-forge"]\n[dependencies]\nnumpy = "*"\n',
    "environment.yml": "name: e\nchannels: [conda-forge]\ndependencies:\n  - numpy\n",
}
CONTENT["environment.yaml"] = CONTENT["environment.yml"]


def _file(name: str, content: str | None = None, folder: str = "/p") -> ProjectFile:
    text = CONTENT[name] if content is None else content
    return ProjectFile(Path(folder, name), FILE_NAMES[name], text.encode())


def _situation(snapshot: dict[str, Any] | None = None, **options: Any) -> Situation:
    return Situation(PYTHON if snapshot is None else snapshot, **options)


def _with(uv: Any = None, conda: Any = None, base: dict[str, Any] = PYTHON) -> dict[str, Any]:
    runt: dict[str, Any] = {"schema_version": "1"}
    if uv is not None:
        runt["uv"] = uv if isinstance(uv, dict) else {"dependencies": uv}
    if conda is not None:
        runt["conda"] = conda if isinstance(conda, dict) else {"dependencies": conda}
    return {**base, "runt": runt}


# The order of the sources

_EVERYTHING = _situation(
    _with(["numpy"], ["scipy"]), cells=[BLOCK], project_files=[_file("pyproject.toml")]
)


@pytest.mark.parametrize(
    ("situation", "source", "consent"),
    [
        (_EVERYTHING, "uv:inline", "notebook"),
        (attrs.evolve(_EVERYTHING, snapshot=_with([], ["scipy"])), "conda:inline", "notebook"),
        (attrs.evolve(_EVERYTHING, snapshot=_with([], [])), "uv:pep723", "notebook"),
        (attrs.evolve(_EVERYTHING, snapshot=PYTHON, cells=[]), "uv:pyproject", "project"),
        (_situation(project_files=[_file("pixi.toml")]), "conda:pixi", "project"),
        (_situation(project_files=[_file("environment.yml")]), "conda:env_yml", "project"),
        (_situation(project_files=[_file("environment.yaml")]), "conda:env_yml", "project"),
        (_situation(), "uv:prewarmed", "none"),
        (_situation(default_python_env="conda"), "conda:prewarmed", "none"),
        (_situation(default_python_env="mamba"), "uv:prewarmed", "none"),
        (_situation(DENO), "deno", "none"),
    ],
)
@pytest.mark.parametrize("asked", ["", "auto", "prewarmed"])
def test_the_first_source_that_says_something_decides(
    situation: Situation, source: str, consent: str, asked: str
) -> None:
    choice = resolve(attrs.evolve(situation, env_source=asked))
    assert (choice.env_source, choice.consent) == (source, consent)
    assert choice.kernel_type == ("deno" if source == "deno" else "python")
    assert choice.reasons
    assert all(reason.endswith(".") for reason in choice.reasons)


def test_the_nearest_project_file_decides_and_is_named_as_the_origin() -> None:
    files = [_file("environment.yml", folder="/p/a"), _file("pyproject.toml")]
    choice = resolve(_situation(project_files=files))
    assert choice.env_source == "conda:env_yml"
    assert choice.origin == Path("/p/a/environment.yml")
    assert choice.reasons[-1] == (
        'The nearest project file is /p/a/environment.yml: its environment "e" is built.'
    )


def test_a_pyproject_that_only_configures_tools_captures_nothing() -> None:
    linter = _file("pyproject.toml", "[tool.ruff]\nline-length = 100\n")
    choice = resolve(_situation(project_files=[linter, _file("pixi.toml")]))
    assert choice.env_source == "conda:pixi"
    assert any("/p/pyproject.toml is passed over" in reason for reason in choice.reasons)
    assert resolve(_situation(project_files=[linter])).env_source == "uv:prewarmed"


def test_a_uv_list_comes_before_a_conda_list_which_is_said_not_to_be_used() -> None:
    choice = resolve(_situation(_with(["numpy"], ["scipy"])))
    assert choice.wanted == UvPackages(("numpy",))
    assert choice.notes == ("the conda list is not used: a uv list comes first",)


def test_a_broken_script_block_is_said_and_does_not_keep_a_kernel_from_starting() -> None:
    cells = [CodeCell(1, "# /// script\n# dependencies = [\n# ///")]
    choice = resolve(_situation(cells=cells))
    assert choice.env_source == "uv:prewarmed"
    assert "invalid TOML in script block" in choice.notes[0]
    assert any("cell 1, line 2" in reason for reason in choice.reasons)


def test_a_project_file_that_cannot_be_used_is_an_error_and_no_other_takes_its_place() -> None:
    files = [_file("pixi.toml", "[dependencies\n", "/p/a"), _file("pyproject.toml")]
    with pytest.raises(RuntimedError, match=r"^/p/a/pixi\.toml, line 1: .*uv:prewarmed"):
        resolve(_situation(project_files=files))


# The runtime

_TYPESCRIPT = {"language_info": {"name": "typescript"}}


@pytest.mark.parametrize(
    ("snapshot", "default", "kernel_type"),
    [
        (DENO, "python", "deno"),
        (PYTHON, "deno", "python"),
        ({**PYTHON, "runt": {"deno": {}}}, "deno", "python"),
        (_TYPESCRIPT, "python", "deno"),
        ({"runt": {"deno": {}}}, "python", "deno"),
        ({}, "deno", "deno"),
        ({}, "python", "python"),
        ({}, "ruby", "python"),
        ({"kernelspec": {"name": "ir"}}, "deno", "deno"),
        (None, "deno", "deno"),
    ],
)
def test_the_notebook_says_its_language_before_the_setting_does(
    snapshot: dict[str, Any] | None, default: str, kernel_type: str
) -> None:
    for asked in ("", "auto"):
        situation = Situation(snapshot, kernel_type=asked, default_runtime=default)
        assert resolve(situation).kernel_type == kernel_type


@pytest.mark.parametrize("name", ["pyproject.toml", "pixi.toml", "environment.yml"])
def test_a_deno_notebook_stays_deno_beside_any_project_file(name: str) -> None:
    assert resolve(_situation(DENO, project_files=[_file(name)])).env_source == "deno"


def test_a_request_may_name_the_kernel() -> None:
    assert resolve(_situation(DENO, kernel_type="python")).env_source == "uv:prewarmed"
    assert resolve(_situation(PYTHON, kernel_type="deno")).env_source == "deno"
    with pytest.raises(RuntimedError, match=r"Unsupported kernel type: r\. Supported types: "):
        resolve(_situation(kernel_type="r"))


def test_a_deno_kernel_takes_no_python_environment_and_says_so() -> None:
    choice = resolve(_situation(DENO, env_source="uv:prewarmed"))
    assert choice.env_source == "deno"
    assert choice.notes == ("uv:prewarmed is not used: a Deno kernel needs no Python environment",)


def test_a_label_decides_for_a_notebook_that_does_not_say_its_language() -> None:
    assert resolve(_situation({}, env_source="deno")).kernel_type == "deno"
    python = _situation({}, env_source="uv:prewarmed", default_runtime="deno")
    assert resolve(python).kernel_type == "python"


@pytest.mark.parametrize("kernel_type", ["auto", "python"])
def test_a_python_kernel_out_of_deno_is_a_contradiction(kernel_type: str) -> None:
    with pytest.raises(RuntimedError, match='kernel_type="deno"'):
        resolve(_situation(PYTHON, env_source="deno", kernel_type=kernel_type))


def test_what_the_notebook_says_of_deno_is_kept() -> None:
    section = {"permissions": ["--allow-net"], "import_map": "m.json", "config": "d.json"}
    section_without = {**section, "flexible_npm_imports": False}
    snapshot = {**DENO, "runt": {"deno": section_without}}
    assert resolve(_situation(snapshot, folder=Path("/n"))).wanted == DenoRuntime(
        ("--allow-net",), "m.json", "d.json", flexible_npm_imports=False, folder=Path("/n")
    )
    assert resolve(_situation(DENO)).wanted == DenoRuntime()


# What is asked for by its label

_LABELS = [
    ("uv:inline", _situation(_with(["numpy"]))),
    ("conda:inline", _situation(_with(["x"], ["numpy"]))),
    ("uv:pep723", _situation(_with(["x"]), cells=[BLOCK])),
    ("uv:pyproject", _situation(_with(["x"]), project_files=[_file("pyproject.toml")])),
    ("conda:pixi", _situation(project_files=[_file("pyproject.toml"), _file("pixi.toml")])),
    ("conda:env_yml", _situation(project_files=[_file("pixi.toml"), _file("environment.yml")])),
    ("uv:prewarmed", _situation(_with(["x"]))),
    ("conda:prewarmed", _situation(_with(["x"]))),
    ("deno", _situation(DENO)),
]


@pytest.mark.parametrize(("label", "situation"), _LABELS)
def test_a_label_is_obeyed(label: str, situation: Situation) -> None:
    assert resolve(attrs.evolve(situation, env_source=label)).env_source == label


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("uv:inline", r"lists no packages in runt\.uv\.dependencies.*add some"),
        ("conda:inline", r"lists no packages in runt\.conda\.dependencies.*add some"),
        (
            "uv:pep723",
            "^No PEP 723 dependencies found in notebook cells for requested env_source "
            '"uv:pep723": add',
        ),
        ("uv:pyproject", r"^No pyproject\.toml found .* add the file"),
        ("conda:pixi", r"^No pixi\.toml found .* add the file"),
        ("conda:env_yml", r"^No environment\.yml found .* add the file"),
        ("uv:conda", "^Unknown environment source: .* It can be auto, or one of uv:inline"),
        ("UV:inline", "^Unknown environment source"),
    ],
)
def test_a_label_for_what_is_not_there_is_an_error_with_the_remedy(
    label: str, message: str
) -> None:
    with pytest.raises(RuntimedError, match=message):
        resolve(_situation(env_source=label))


def test_the_error_for_a_missing_project_file_names_the_one_that_is_there() -> None:
    situation = _situation(project_files=[_file("pyproject.toml")], env_source="conda:pixi")
    with pytest.raises(RuntimedError, match=r"/p/pyproject\.toml is there: ask for uv:pyproject"):
        resolve(situation)
    linter = _file("pyproject.toml", "[tool.ruff]\n")
    with pytest.raises(RuntimedError, match=r"passed over: it has no \[project\] table"):
        resolve(_situation(project_files=[linter], env_source="uv:pyproject"))


def test_a_broken_script_block_that_was_asked_for_is_an_error() -> None:
    cells = [CodeCell(2, "# /// script\n# dependencies = [\n# ///")]
    with pytest.raises(
        RuntimedError, match=r"^Invalid PEP 723 metadata in notebook: .*\(cell 2, line 2\)"
    ):
        resolve(_situation(cells=cells, env_source="uv:pep723"))


# What it comes to

_UV = {"dependencies": ["NumPy >=1", "numpy>=1"], "requires-python": ">=3.10,<3.13"}


def test_every_part_of_a_uv_list_is_applied() -> None:
    wanted = resolve(_situation(_with({**_UV, "prerelease": "allow"}))).wanted
    assert wanted == UvPackages(("numpy>=1",), "<3.13,>=3.10", "allow")


@pytest.mark.parametrize(
    ("conda", "expected"),
    [
        (
            {"dependencies": ["numpy=1.26"], "channels": ["a", "b"], "python": "3.12"},
            CondaPackages(("numpy 1.26.*",), ("a", "b"), python="3.12.*"),
        ),
        (
            {"dependencies": ["python>=3.10,<3.13", "numpy"]},
            CondaPackages(("numpy",), python=">=3.10,<3.13"),
        ),
        (
            {"dependencies": ["python 3.10.*|3.12.*", "numpy"], "python": ">=3.11"},
            CondaPackages(("numpy",), python="(3.10.*|3.12.*),>=3.11"),
        ),
        (
            {"dependencies": ["python=3.11.4=h1"], "channels": []},
            CondaPackages(("python ==3.11.4 h1",)),
        ),
    ],
)
def test_every_part_of_a_conda_list_is_applied(
    conda: dict[str, Any], expected: CondaPackages
) -> None:
    assert resolve(_situation(_with(conda=conda))).wanted == expected


def test_a_script_blocks_python_constraint_is_applied() -> None:
    assert resolve(_situation(cells=[BLOCK])).wanted == UvPackages(("rich",), ">=3.9")


def test_a_project_is_run_where_it_is() -> None:
    choice = resolve(_situation(project_files=[_file("pyproject.toml")]))
    assert choice.wanted == UvProject(Path("/p/pyproject.toml"))
    assert resolve(_situation(default_python_env="conda")).wanted == Pooled("conda")


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (_with(["-r x"]), r'^runt\.uv\.dependencies: "-r x" is an option'),
        (_with(["x @ file:///x"]), r"^runt\.uv\.dependencies: .*points to a file"),
        (_with({**_UV, "requires-python": "3"}), r"^runt\.uv\.requires-python: "),
        (_with({**_UV, "prerelease": "--x"}), r"^runt\.uv\.prerelease: "),
        (_with(conda=["-c"]), r'^runt\.conda\.dependencies: "-c" is an option'),
        (_with(conda={"dependencies": ["a"], "channels": ["/c"]}), r"^runt\.conda\.channels: "),
        (_with(conda={"dependencies": ["a"], "python": "-x"}), r"^runt\.conda\.python: "),
    ],
)
def test_an_entry_that_is_no_package_is_named(snapshot: dict[str, Any], message: str) -> None:
    with pytest.raises(RuntimedError, match=message):
        resolve(_situation(snapshot))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["uv", "conda", "deno", "dependencies", "channels", "python", "name"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {}, optional={"kernelspec": _JSON, "language_info": _JSON, "runt": _JSON}
    ),
    st.text(max_size=60),
    st.sampled_from(["auto", *(label for label, _ in _LABELS)]) | st.text(max_size=5),
    st.sampled_from(sorted(FILE_NAMES)),
    st.binary(max_size=40),
)
def test_whatever_the_facts_are_there_is_a_choice_or_the_declared_error(
    snapshot: dict[str, Any], source: str, label: str, name: str, content: bytes
) -> None:
    situation = Situation(
        snapshot,
        cells=[CodeCell(1, source)],
        project_files=[ProjectFile(Path("/p", name), FILE_NAMES[name], content)],
        env_source=label,
    )
    try:
        choice = resolve(situation)
    except RuntimedError:
        return
    assert choice.reasons


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("conda", "says conda"),
        ("uv", "says uv, or is not set"),
        ("pipx", "is not usable ('pipx'): uv"),
    ],
)
def test_what_is_only_the_default_is_not_called_a_setting(setting: str, told: str) -> None:
    reasons = resolve(_situation(default_python_env=setting)).reasons
    assert reasons[-2] == f"The setting default_python_env {told}."
