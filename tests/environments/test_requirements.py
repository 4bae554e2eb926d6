from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.requirements import (
    parse_prerelease,
    parse_requirement,
    parse_requirements,
    parse_requires_python,
)
from runtimed.errors import RequirementRefused


@pytest.mark.parametrize(
    ("entry", "name", "text"),
    [
        ("numpy", "numpy", "numpy"),
        ("  NumPy >= 1.26 , <3 ", "numpy", "numpy<3,>=1.26"),
        ("pandas[excel]==2.2.*", "pandas", "pandas[excel]==2.2.*"),
        ("discord.py", "discord-py", "discord-py"),
        ("A_b.C", "a-b-c", "a-b-c"),
        ("tomli ; python_version<'3.11'", "tomli", 'tomli; python_version < "3.11"'),
    ],
)
def test_a_requirement_has_one_normal_form(entry: str, name: str, text: str) -> None:
    requirement = parse_requirement(entry)
    assert (requirement.name, requirement.text, requirement.url) == (name, text, None)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x-1.0-py3-none-any.whl",
        "git+https://example.org/x.git@v1#subdirectory=src",
        "git+ssh://git@example.org/x.git",
    ],
)
def test_a_named_address_is_kept_and_shown(url: str) -> None:
    requirement = parse_requirement(f"X@{url}")
    assert (requirement.name, requirement.url) == ("x", url)
    assert url in requirement.text


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("--index-url=https://evil.example", "is an option"),
        ("-r requirements.txt", "is an option"),
        ("-e .", "is an option"),
        (" --pre", "is an option"),
        ("-", "is an option"),
        (".", "is a path"),
        ("..", "is a path"),
        ("./x", "is a path"),
        (".\\x", "is a path"),
        ("/tmp/x", "is a path"),
        ("~/x", "is a path"),
        ("C:\\x", "is a path"),
        ("sub/folder", "is a path"),
        ("x.whl", "is a file"),
        ("x-1.0.tar.gz", "is a file"),
        ("x.zip[extra]", "is a file"),
        ("requirements.txt", "is a file"),
        ("pyproject.toml", "is a file"),
        ("setup.py", "is a file"),
        ("https://example.org/x.whl", 'write "NAME @ URL"'),
        ("git+https://example.org/x", 'write "NAME @ URL"'),
        ("file:///tmp/x", 'write "NAME @ URL"'),
        ("x @ file:///tmp/x", "points to a file"),
        ("x @ FILE:///tmp/x", "points to a file"),
        ("x @ file:/tmp/x", "points to a file"),
        ("x @ file://localhost/tmp/x", "points to a file"),
        ("x @ git+file:///tmp/x", "points to a file"),
        ("x @ ./x", "points to a file"),
        ("x @ /x", "points to a file"),
        ("x@x", "points to a file"),
        ("x @ https:///x", "names no server"),
        ("x @ https://example.org/${SECRET}", "has a variable"),
        ("", "is empty"),
        ("a\nb", "control characters"),
        ("a @ https://h/\ud800", "control characters"),
        ("a\0", "control characters"),
        ("a --hash=sha256:0", "is not a requirement"),
        ("a b", "is not a requirement"),
        ("a>=", "is not a requirement"),
        ("a # comment", "is not a requirement"),
        ("a" * 3000, "longer than"),
        (None, "is not a text"),
        (7, "is not a text"),
        (["a"], "is not a text"),
    ],
)
def test_what_is_no_named_requirement_is_refused_by_name(entry: object, complaint: str) -> None:
    with pytest.raises(RequirementRefused) as refused:
        parse_requirement(entry, "runt.uv.dependencies")
    message = str(refused.value)
    assert message.startswith("runt.uv.dependencies: ")
    assert complaint in message
    assert "\n" not in message
    assert len(message) < 600


def test_a_projects_own_file_may_name_a_file() -> None:
    requirement = parse_requirement("x @ file:///tmp/x", local_files=True)
    assert requirement.url == "file:///tmp/x"
    with pytest.raises(RequirementRefused, match="points to a file"):
        parse_requirement("x @ file://host/tmp/x", local_files=True)


def test_a_list_keeps_its_order_and_each_requirement_once() -> None:
    found = parse_requirements(["Pandas", "numpy >=1", "pandas", "numpy>=1"])
    assert [requirement.text for requirement in found] == ["pandas", "numpy>=1"]


def test_python_constraints_are_normalised_or_refused() -> None:
    assert parse_requires_python(" <3.13, >=3.10") == "<3.13,>=3.10"
    assert parse_requires_python("") is None
    for wrong in ("3.10", ">=x", "--python", None, 3.1):
        with pytest.raises(RequirementRefused, match="requires-python"):
            parse_requires_python(wrong)


def test_only_the_words_of_uv_say_what_of_prereleases() -> None:
    assert parse_prerelease("allow") == "allow"
    for wrong in ("--allow", "", None, ["allow"]):
        with pytest.raises(RequirementRefused, match="if-necessary-or-explicit"):
            parse_prerelease(wrong)


_PIECES = st.sampled_from(
    ["-", "--", "-r", "@", " ", "file:", "//", "/", "..", "x", "[", "]", ";", "==", ">=1", "(", ")",
     "https://h/", "git+", "python_version", "'3'", " and ", "\n", "\t", "${", "\\", "\ud800"]
)  # fmt: skip


@settings(deadline=None)
@given(st.text() | st.lists(_PIECES).map("".join) | st.none() | st.integers() | st.binary())
def test_whatever_is_in_a_list_is_a_requirement_or_refused(entry: object) -> None:
    try:
        requirement = parse_requirement(entry)
    except RequirementRefused:
        pass
    else:
        assert not requirement.text.startswith(("-", ".", "/", "~"))
        assert requirement.text == parse_requirement(requirement.text).text
        assert requirement.url is None or not requirement.url.lower().startswith("file")
    for parse in (parse_requires_python, parse_prerelease):
        try:
            parse(entry)
        except RequirementRefused:
            pass


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_nesting_ends_in_a_refusal(depth: int) -> None:
    entry = "a; " + "(" * depth + "python_version<'3'" + ")" * depth
    try:
        parse_requirement(entry)
    except RequirementRefused:
        pass
