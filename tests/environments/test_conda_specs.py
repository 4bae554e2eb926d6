from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.conda_specs import (
    parse_channel,
    parse_channels,
    parse_conda_spec,
    parse_conda_specs,
    parse_conda_version,
)
from runtimed.errors import RequirementRefused

_MD5 = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("NumPy", "numpy"),
        ("numpy=1.26", "numpy 1.26.*"),
        ("numpy = 1.26", "numpy 1.26.*"),
        ("numpy=1.26.*", "numpy 1.26.*"),
        ("numpy 1.26*", "numpy 1.26.*"),
        ("numpy==1.26.*", "numpy 1.26.*"),
        ("numpy==1.26", "numpy ==1.26"),
        ("numpy 1.26", "numpy ==1.26"),
        ("numpy>=1.26.*", "numpy >=1.26"),
        ("numpy!=1.26.*", "numpy !=1.26.*"),
        ("numpy~=1.26", "numpy ~=1.26"),
        ("numpy >= 1.26 , < 3", "numpy >=1.26,<3"),
        ("numpy 1.26.*|2.*", "numpy 1.26.*|2.*"),
        ("numpy (>=1,<2)|>3", "numpy (>=1,<2)|>3"),
        ("numpy *", "numpy"),
        ("numpy * py3*", "numpy * py3*"),
        ("numpy=1.26.1=py310_0", "numpy ==1.26.1 py310_0"),
        ("numpy==1.26.1=py310_0", "numpy ==1.26.1 py310_0"),
        ("numpy>=1.26=py3*", "numpy >=1.26 py3*"),
        ("numpy ==1.26.1 py310_0", "numpy ==1.26.1 py310_0"),
        ("conda-forge::numpy", "conda-forge::numpy"),
        ("conda-forge/linux-64::numpy=1", "conda-forge/linux-64::numpy 1.*"),
        ("https://conda.example/forge::numpy", "https://conda.example/forge::numpy"),
        ("numpy[version='>=1,<2', build=py3*]", "numpy >=1,<2 py3*"),
        ("numpy[channel=conda-forge,subdir=noarch]", "conda-forge/noarch::numpy"),
        (f'numpy>=1[md5="{_MD5}",build_number=1]', f'numpy >=1[build_number="==1", md5="{_MD5}"]'),
        ("_libgcc_mutex 0.1 conda_forge", "_libgcc_mutex ==0.1 conda_forge"),
        ("pkg 1!2.0", "pkg ==1!2.0"),
        ("openssl 1.1.1w", "openssl ==1.1.1w"),
    ],
)
def test_a_spec_has_one_normal_form(entry: str, text: str) -> None:
    assert parse_conda_spec(entry).text == text
    assert parse_conda_spec(text).text == text


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("--file=x", "is an option"),
        ("-c", "is an option"),
        ("-r requirements.txt", "is an option"),
        ("/tmp/x.conda", "address or a path"),
        ("./x", "address or a path"),
        ("~/x", "address or a path"),
        ("..", "address or a path"),
        ("a/b", "address or a path"),
        ("https://example.org/x.conda", "address or a path"),
        ("file:///tmp/x", "address or a path"),
        ("x.conda", "is a file"),
        ("x-1.0-0.tar.bz2", "is a file"),
        ("environment.yml", "is a file"),
        ("file:///tmp/c::numpy", "is no channel"),
        ("/tmp/c::numpy", "is no channel"),
        ("--x::numpy", "is an option"),
        ("numpy[url='https://example.org/x.conda']", "points to a file"),
        ("numpy[fn=x.conda]", "points to a file"),
        ("numpy[license=MIT]", "license is not supported"),
        ("numpy[md5=abc]", "is no md5"),
        ("numpy[version='>=1'] x", "not closed at the end"),
        ("numpy>=1[version='>=1']", "two of version"),
        ("numpy[", "not closed"),
        ("num*", "can't be in a name"),
        ("numpy@1", "can't be in a name"),
        ("*", "has no name"),
        ("numpy>=", "is no version"),
        ("numpy >=1,", "is missing at the end"),
        ("numpy >=1 <2 3", "no more"),
        ("numpy (>=1", "parenthesis is missing"),
        ("numpy )>=1(", "missing before"),
        ("numpy 1.*.2", "is no version"),
        ("numpy ^1.*$", "is no version"),
        ("", "is empty"),
        ("a\nb", "control characters"),
        ("a" * 2000, "longer than"),
        (None, "is not a text"),
        ({"pip": []}, "is not a text"),
    ],
)
def test_what_is_no_spec_is_refused_by_name(entry: object, complaint: str) -> None:
    with pytest.raises(RequirementRefused) as refused:
        parse_conda_spec(entry, "runt.conda.dependencies")
    assert str(refused.value).startswith("runt.conda.dependencies: ")
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_list_keeps_its_order_and_each_spec_once() -> None:
    specs = parse_conda_specs(["b=1", "A", "b 1.*", "a"])
    assert [spec.text for spec in specs] == ["b 1.*", "a"]
    assert [spec.name for spec in specs] == ["b", "a"]
    assert [spec.version_only for spec in parse_conda_specs(["a>=1", "c::a", "a 1 x"])] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("3.12", "3.12.*"),
        ("=3.12", "3.12.*"),
        ("3.12.*", "3.12.*"),
        ("==3.12.1", "==3.12.1"),
        (">=3.10", ">=3.10"),
        (" >=3.10, <3.13 ", ">=3.10,<3.13"),
        ("*", None),
        ("", None),
    ],
)
def test_a_python_constraint_is_kept_and_never_becomes_a_pin(
    given: str, normal: str | None
) -> None:
    assert parse_conda_version(given, "runt.conda.python", fuzzy=True) == normal


@pytest.mark.parametrize("wrong", ["--x", "3.12 x", ">=", "3..*x", None, 3.12, "3.12;x", "3.12]"])
def test_what_is_no_version_constraint_is_refused(wrong: object) -> None:
    with pytest.raises(RequirementRefused, match=r"^runt\.conda\.python: .* is not a version"):
        parse_conda_version(wrong, "runt.conda.python", fuzzy=True)


def test_channels_are_names_or_addresses_on_the_network() -> None:
    names = ["conda-forge", "conda-forge/label/dev", "https://conda.example/forge/", "conda-forge"]
    assert parse_channels(names) == (*names[:2], "https://conda.example/forge")
    for wrong in (
        *("-c", "/tmp/c", "./c", "~/c", "file:///tmp/c", "ftp://h/c", "https:///c", "", None),
        *("a b", "https://h/${X}", "https://h/x.conda", "a::b", "https://h/a?b", "x.conda"),
    ):
        with pytest.raises(RequirementRefused, match="is no channel"):
            parse_channel(wrong)
    assert parse_channel("file:///tmp/c", local=True) == "file:///tmp/c"
    with pytest.raises(RequirementRefused, match="file:///"):
        parse_channel("../c", local=True)


_PIECES = st.sampled_from(
    ["-", "::", "[", "]", "=", "==", ">=", "<", "*", ",", "|", "(", ")", " ", "numpy", "1.2", "'",
     '"', "version", "build", "url", "https://h/c", "file://", "/", ".", "\n", "^", "$", "\ud800"]
)  # fmt: skip


@settings(deadline=None)
@given(st.text() | st.lists(_PIECES).map("".join) | st.none() | st.integers() | st.binary())
def test_whatever_is_in_a_list_is_a_spec_or_refused(entry: object) -> None:
    for parse in (parse_conda_version, parse_channel):
        try:
            parse(entry)
        except RequirementRefused:
            pass
    try:
        spec = parse_conda_spec(entry)
    except RequirementRefused:
        return
    assert not spec.text.startswith(("-", ".", "/", "~", "file:"))
    assert parse_conda_spec(spec.text) == spec
