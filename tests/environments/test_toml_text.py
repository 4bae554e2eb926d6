from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.toml_text import TomlInvalid, line_of_key, parse_toml

_TEXT = """\
[workspace]
name = "w"

[target.linux-64.dependencies]
numpy = "*"
'odd name' = "*"
a.b = 1

[[tool.uv.index]]
url = "x"

[feature]
t = { dependencies = { numpy = "*" } }
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("workspace",), 1),
        (("workspace", "name"), 2),
        (("target", "linux-64", "dependencies"), 4),
        (("target", "linux-64", "dependencies", "numpy"), 5),
        (("target", "linux-64", "dependencies", "odd name"), 6),
        (("target", "linux-64", "dependencies", "a", "b"), 7),
        (("tool", "uv", "index"), 9),
        (("feature", "t", "dependencies", "numpy"), 13),
        (("nowhere",), None),
    ],
)
def test_the_line_of_a_key_is_found(path: tuple[str, ...], line: int | None) -> None:
    assert line_of_key(_TEXT, *path) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb = ", 2), ("a = 1\na = 2\n", 2), ("\n\na = [1,\n", 3), ("", 0), ("x", 1)],
)
def test_broken_toml_has_a_line(text: str, line: int) -> None:
    if not line:
        assert parse_toml(text) == {}
        return
    with pytest.raises(TomlInvalid) as invalid:
        parse_toml(text)
    assert invalid.value.line == line
    assert "(at " not in str(invalid.value)


def test_what_is_too_deep_names_the_line_where_it_is() -> None:
    with pytest.raises(TomlInvalid, match="nested too deeply") as invalid:
        parse_toml("a = 1\nb = " + "[" * 20_000)
    assert invalid.value.line == 2


@settings(deadline=None)
@given(st.text(), st.lists(st.text(max_size=4), max_size=4))
def test_a_line_is_looked_for_in_any_text(text: str, path: list[str]) -> None:
    line = line_of_key(text, *path)
    assert line is None or 1 <= line <= len(text.splitlines())
