"""Project files gone wrong: what is in one is parsed, or is the declared error that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.projects.deno_config import parse_deno_config
from runtimed.environments.projects.environment_yml import parse_environment_yml
from runtimed.environments.projects.pixi import parse_pixi
from runtimed.environments.projects.project_file import FILE_NAMES, FileText, ProjectFile
from runtimed.environments.projects.pyproject import parse_pyproject
from runtimed.errors import ProjectFileInvalid

PARSERS: dict[str, Callable[[FileText], object]] = {
    "pyproject.toml": parse_pyproject,
    "pixi.toml": lambda file: parse_pixi(file, "linux-64"),
    "environment.yml": parse_environment_yml,
    "deno.jsonc": parse_deno_config,
}

SAMPLES = {
    "pyproject.toml": """\
[project]
name = "p"
dependencies = ["numpy>=1"]
requires-python = ">=3.10"
[project.optional-dependencies]
x = ["rich"]
[dependency-groups]
dev = ["pytest", {include-group = "x"}]
[tool.uv]
index-url = "https://h"
dev-dependencies = ["a"]
""",
    "pixi.toml": """\
[workspace]
name = "w"
channels = ["conda-forge", {channel = "x", priority = 1}]
platforms = ["linux-64", "osx-arm64"]
[dependencies]
python = ">=3.10,<3.13"
numpy = {version = "1.26.*", build = "py*", channel = "conda-forge"}
[pypi-dependencies]
a = {git = "https://h/a.git", rev = "v1", extras = ["x"]}
b = {path = ".", editable = true}
c = "1.26.*"
[target.linux-64.dependencies]
d = "*"
[activation.env]
A = "$PIXI_PROJECT_ROOT/x"
[feature.t.dependencies]
pytest = "*"
[environments]
default = ["t"]
t = {features = ["t"], no-default-feature = true, solve-group = "g"}
""",
    "environment.yml": """\
name: e
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.10
  - &a numpy>=1.26
  - pip:
    - requests[socks]>=2
    - -e .
    - "b @ https://h/b.whl"
variables: {A: 1.10, B: *a}
prefix: /x
""",
    "deno.jsonc": '{ // c\n "name": "n", "imports": {"a": "b"}, /* d */ "tasks": {},\n}\n',
}

_TOKENS = st.sampled_from(
    ["[", "]", "{", "}", "[[", "]]", "=", ":", "- ", "\n", "  ", '"', "'", "&a", "*a", "!!python/x",
     "!", "|", ">", "---", "%", "#", "<<", "\t", "\0", "\x85", "\ud800", "1e999", "0x",
     "2025-13-01", "true", "null", "-e", "-r x", "file:///x", "${", "\\", "//", "/*",
     ",", "9" * 5000, "?"]
)  # fmt: skip


@st.composite
def _mutated(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        change = draw(st.integers(0, 3))
        if change == 0:
            text = text[:at] + draw(_TOKENS | st.text(max_size=3)) + text[at:]
        elif change == 1:
            text = text[:at] + text[at + draw(st.integers(1, 12)) :]
        elif change == 2:
            end = at + draw(st.integers(1, 40))
            text = text[:end] + text[at:]
        else:
            lines = text.split("\n")
            line = draw(st.integers(0, len(lines) - 1))
            value = draw(st.sampled_from(["7", "[]", "{}", '""', "true", "[[1]]", "2025-01-01"]))
            key = lines[line].split("=")[0].split(":")[0]
            lines[line] = f"{key}{'=' if '=' in lines[line] else ':'} {value}"
            text = "\n".join(lines)
    return text


def _parse(name: str, content: bytes) -> None:
    file = ProjectFile(Path("/p") / name, FILE_NAMES[name], content)
    try:
        PARSERS[name](file.text())
    except ProjectFileInvalid as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"/p/{name}")
    assert message.endswith('or start the kernel with env_source="uv:prewarmed" to run without it')
    assert "\n" not in message
    assert len(message) < 1500


@pytest.mark.parametrize("name", sorted(PARSERS))
@settings(deadline=None)
@given(data=st.data())
def test_a_mutated_file_is_parsed_or_named_in_the_error(name: str, data: st.DataObject) -> None:
    text = data.draw(_mutated(SAMPLES[name]))
    _parse(name, text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", sorted(PARSERS))
@settings(deadline=None)
@given(content=st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_parsed_or_named_in_the_error(name: str, content: bytes) -> None:
    _parse(name, content)


def test_the_samples_themselves_are_fine() -> None:
    for name, parse in PARSERS.items():
        parse(FileText(Path("/p") / name, SAMPLES[name]))


_LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize("name", sorted(PARSERS))
@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 100_000,
        "a = " + "[" * 20_000,
        "a = " + "{a=" * 20_000,
        "a: " + "{a: " * 20_000,
        '{"a":' * 20_000,
        "- " * 20_000,
        "a = " + "9" * 100_000,
        _LAUGHS,
        _LAUGHS + "dependencies: *a11\n",
        "dependencies: &d [*d]\n",
        "dependencies:\n" + "  - a\n" * 2000,
        "\ufeff",
        "\ufeffa = 1",
    ],
    ids=range(13),
)
def test_a_bomb_is_an_error_like_any_other(name: str, bomb: str) -> None:
    _parse(name, bomb.encode())


@pytest.mark.parametrize(
    "content",
    [
        'dependencies: [{pip: ["-e ./\\ud800"]}]',
        'dependencies: [{pip: ["./a\\0b"]}]',
        'dependencies: [{pip: ["./\\ud800.whl"]}]',
        'dependencies: ["a\\ud800"]',
        'dependencies: []\nvariables: {A: "\\ud800"}',
        'dependencies: []\nvariables: {A: "\\0"}',
        'dependencies: []\n"\\n": x',
    ],
)
def test_what_no_command_could_be_given_is_refused(content: str) -> None:
    with pytest.raises(ProjectFileInvalid) as refused:
        parse_environment_yml(FileText(Path("/p/environment.yml"), content))
    assert str(refused.value).isprintable()


def test_a_key_with_line_ends_in_it_makes_no_second_line() -> None:
    _parse("pixi.toml", b'"a\\nb" = 1')
    _parse("pixi.toml", b'[dependencies]\n"a\\nb" = {x = 1}')
    _parse("pixi.toml", b'"' + b"x" * 5000 + b'" = 1')


def test_text_that_is_not_utf_8_is_named_with_its_line() -> None:
    file = ProjectFile(Path("/p/pixi.toml"), "pixi", b"[workspace]\n# caf\xe9\n")
    with pytest.raises(ProjectFileInvalid, match=r"^/p/pixi\.toml, line 2: the text is not UTF-8"):
        file.text()


def test_a_byte_order_mark_does_not_matter() -> None:
    content = "\ufeff" + SAMPLES["pixi.toml"]
    file = ProjectFile(Path("/p/pixi.toml"), "pixi", content.encode())
    assert parse_pixi(file.text(), "linux-64").name == "w"
