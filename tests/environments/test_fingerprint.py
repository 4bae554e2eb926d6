from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtimed.environments.fingerprint import conda_recipe, fingerprint, uv_recipe
from runtimed.environments.wanted import CondaPackages, UvPackages


@pytest.mark.parametrize(
    ("dependencies", "options", "expected"),
    [
        (["requests"], {}, "7cc4959877dbe6b6"),
        (["pandas", "numpy"], {}, "7c3194b101c68d4c"),
        (["numpy", "pandas"], {}, "7c3194b101c68d4c"),
        (["requests"], {"prerelease": "allow"}, "478638409bd793d6"),
        (["requests"], {"requires_python": ">=3.10"}, "3cf144e8ceda5c99"),
        ([], {"env_id": "nb-1"}, "2fbe51fc106040c4"),
    ],
)
def test_uv_lists_hash_to_the_specified_digits(
    dependencies: list[str], options: dict[str, Any], expected: str
) -> None:
    assert uv_recipe(dependencies, **options) == expected


@pytest.mark.parametrize(
    ("python", "expected"), [(None, "1e9d5c8dfa72195e"), ("3.12", "6e8e7c1efc81b6e7")]
)
def test_conda_lists_hash_to_the_specified_digits(python: str | None, expected: str) -> None:
    assert conda_recipe(["numpy"], ["conda-forge"], python=python) == expected


def test_a_list_that_is_not_empty_hashes_the_same_for_every_notebook() -> None:
    assert uv_recipe(["requests"], env_id="nb-1") == uv_recipe(["requests"])


def _key(wanted: UvPackages | CondaPackages, **options: Any) -> str:
    return fingerprint(wanted, **{"platform": "linux-64", "interpreter": "3.11.7", **options})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Requests",), ("requests",)),
        (("zope.interface",), ("Zope_Interface",)),
        (("pandas [excel,  aws] >= 2",), ("pandas[aws,excel]>=2",)),
        (("numpy<3,>=1",), ("numpy >=1, <3",)),
        (("a", "b"), ("b", "a", "a")),
        (("x; python_version<'3.9'",), ('x ; python_version < "3.9"',)),
    ],
)
def test_one_set_spelled_in_two_ways_has_one_fingerprint(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert _key(UvPackages(one)) == _key(UvPackages(other))


def test_everything_that_changes_the_environment_changes_the_fingerprint() -> None:
    uv = UvPackages(("numpy",))
    conda = CondaPackages(("numpy",), channels=("a", "b"))
    keys = [
        _key(uv),
        _key(uv, interpreter="3.12.1"),
        _key(uv, platform="osx-arm64"),
        _key(uv, built_by=["2"]),
        _key(UvPackages(("numpy>=1",))),
        _key(UvPackages(("numpy",), requires_python=">=3.10")),
        _key(UvPackages(("numpy",), prerelease="allow")),
        _key(conda),
        _key(attrs.evolve(conda, channels=("b", "a"))),
        _key(attrs.evolve(conda, python=">=3.10")),
        _key(attrs.evolve(conda, pip=("requests",))),
        _key(attrs.evolve(conda, editable=("/project",))),
        _key(attrs.evolve(conda, pip_options=("--index-url=https://h",))),
    ]
    assert len(set(keys)) == len(keys)


def test_what_uv_does_anyway_and_variables_change_nothing() -> None:
    told = UvPackages(("numpy",), prerelease="if-necessary-or-explicit")
    assert _key(told) == _key(UvPackages(("numpy",)))
    conda = CondaPackages(("numpy",))
    assert _key(attrs.evolve(conda, variables={"A": "1"})) == _key(conda)


@settings(deadline=None)
@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_any_text_has_a_fingerprint(entries: list[str], channels: list[str]) -> None:
    entries = [text.encode("utf-8", "replace").decode() for text in entries]
    assert len(_key(UvPackages(tuple(entries)))) == 64
    wanted = CondaPackages(tuple(entries), channels=tuple(channels), pip=tuple(entries))
    assert len(_key(wanted)) == 64
