"""What the solver stack says, and what we read in it."""

from __future__ import annotations

import pytest

from runtimed.environments.conda.build import specs_of
from runtimed.environments.conda.complaints import (
    failed_package,
    is_network_trouble,
    one_line,
    spec_name,
)
from runtimed.environments.wanted import CondaPackages

UNKNOWN = "Cannot solve the request because of: No candidates were found for nosuch *.\n"
CONFLICT = """\
Cannot solve the request because of: lodestone * cannot be installed because there are no viable \
options:
└─ lodestone 1.0 would require
   └─ moonstone <2, for which no candidates were found.
"""
FETCH = (
    "failed to fetch moonstone-2.0-0.conda\nCaused by: failed to interact with the package cache "
    "layer.\nCaused by: error sending request for url (http://h/x)\nCaused by: operation timed out"
)


@pytest.mark.parametrize(
    ("message", "package"),
    [
        (UNKNOWN, "nosuch"),
        (CONFLICT, "moonstone"),
        (FETCH, "moonstone"),
        (UNKNOWN.replace("nosuch", "ipykernel"), None),
        ("something else", None),
    ],
)
def test_the_package_to_blame_is_read_from_the_message(message: str, package: str | None) -> None:
    assert failed_package(message) == package


@pytest.mark.parametrize(
    "message",
    [
        "HTTP status server error (503 Service Unavailable) for url (http://h/x)",
        FETCH,
        "tcp connect error: Connection refused (os error 111)",
        "error reading a body from connection",
        "dns error: failed to lookup address information",
    ],
)
def test_network_trouble_is_worth_another_try(message: str) -> None:
    assert is_network_trouble(message)


@pytest.mark.parametrize(
    "message", [UNKNOWN, "HTTP status client error (404 Not Found) for url (http://h/x)"]
)
def test_other_trouble_is_not(message: str) -> None:
    assert not is_network_trouble(message)


def test_causes_become_one_line_and_are_said_once() -> None:
    assert one_line("a\nCaused by: b\nCaused by: b\n") == "a: b"


@pytest.mark.parametrize("spec", ["NumPy", "numpy>=1", "forge::numpy =1.2", "numpy[build=x]"])
def test_the_name_in_a_spec(spec: str) -> None:
    assert spec_name(spec) == "numpy"


@pytest.mark.parametrize(
    ("python", "spec"),
    [
        (None, "python >=3.9"),
        ("3.12", "python 3.12.*"),
        ("=3.12", "python 3.12.*"),
        ("3.12.*", "python 3.12.*"),
        ("3.12.1", "python 3.12.1.*"),
        (">=3.10,<3.13", "python >=3.10,<3.13"),
        ("==3.12.1", "python ==3.12.1"),
        ("~=3.10", "python ~=3.10"),
    ],
)
def test_a_constraint_on_python_keeps_its_meaning(python: str | None, spec: str) -> None:
    assert specs_of(CondaPackages((), python=python)) == [spec, "ipykernel", "ipywidgets"]


def test_what_kernels_need_is_asked_for_once() -> None:
    wanted = CondaPackages(("ipykernel", "numpy", "ipywidgets >=8", "numpy"))
    assert specs_of(wanted)[1:] == ["ipykernel", "ipywidgets", "numpy", "ipywidgets >=8"]
