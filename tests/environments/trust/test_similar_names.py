"""Warnings about names that look like those of popular packages."""

from __future__ import annotations

import pytest

from runtimed.environments.trust.popular import POPULAR
from runtimed.environments.trust.similar import similar_name, similar_names


@pytest.mark.parametrize(
    ("requirement", "similar_to", "distance"),
    [
        ("reqeusts", "requests", 2),
        ("requestss>=2", "requests", 1),
        ("nunpy==1.0", "numpy", 1),
        ("Pandsa[extra]", "pandas", 2),
        ("scikit_laern ; python_version > '3'", "scikit-learn", 2),
        ("conda-forge::nunpy =1.2", "numpy", 1),
        ("pytorhc @ https://example.org/x.whl", "pytorch", 2),
    ],
)
def test_a_name_that_is_nearly_a_popular_one_is_warned_of(
    requirement: str, similar_to: str, distance: int
) -> None:
    warning = similar_name(requirement)
    assert warning is not None
    assert (warning.similar_to, warning.distance) == (similar_to, distance)


@pytest.mark.parametrize(
    "requirement", ["requests", "Requests>=2", "scikit_learn", "zope.interface", "", "  ", ">=1"]
)
def test_popular_names_and_quite_other_ones_are_not(requirement: str) -> None:
    assert similar_name(requirement) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [("rqx", False), ("sixx", True), ("si", True), ("numqq", True), ("nuqqq", False)],
)
def test_short_names_have_to_be_closer(name: str, found: bool) -> None:
    assert (similar_name(name) is not None) is found


def test_every_package_is_warned_of_once() -> None:
    warnings = similar_names(["reqeusts>=1", "requests", "reqeusts"])
    assert [(w.package, w.similar_to) for w in warnings] == [("reqeusts", "requests")]


def test_the_list_is_normalised_and_of_the_size_that_was_meant() -> None:
    assert all(name == name.lower() and "_" not in name and "." not in name for name in POPULAR)
    assert 160 <= len(POPULAR) <= 240
