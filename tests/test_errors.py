from __future__ import annotations

import sys

import pytest

from runtimed import errors

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

CLASSES = [
    each
    for name in errors.__all__
    if isinstance(each := getattr(errors, name), type) and issubclass(each, BaseException)
]


def test_every_error_has_one_base() -> None:
    assert len(CLASSES) > 10
    assert all(issubclass(each, errors.RuntimedError) for each in CLASSES)


def test_every_error_that_is_defined_is_exported() -> None:
    defined = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, Exception)
    }
    assert defined <= set(errors.__all__)


def test_both_sides_of_the_wire_break_the_same_protocol() -> None:
    assert issubclass(errors.LocalProtocolError, errors.ProtocolError)
    assert issubclass(errors.RemoteProtocolError, errors.ProtocolError)
    assert not issubclass(errors.LocalProtocolError, errors.RemoteProtocolError)


def test_a_missing_cell_is_named() -> None:
    error = errors.CellNotFound("abc")
    assert str(error) == "Cell not found: abc"
    assert error.cell_id == "abc"


def test_a_lost_connection_says_so() -> None:
    assert str(errors.ConnectionLost()) == "Connection to daemon lost"
    assert str(errors.ConnectionLost("gone")) == "gone"


def test_a_failed_build_names_the_package_if_it_knows() -> None:
    error = errors.EnvironmentBuildFailed("no such package", "nonesuch")
    assert (str(error), error.failed_package) == ("no such package", "nonesuch")
    assert errors.EnvironmentBuildFailed("uv failed").failed_package is None


def test_the_leaves_of_a_plain_error_are_itself() -> None:
    error = ValueError("a")
    assert list(errors.leaves(error)) == [error]


def test_the_leaves_of_a_group_are_found_at_any_depth() -> None:
    first, second, third = ValueError("1"), KeyError("2"), KeyboardInterrupt()
    group = BaseExceptionGroup("outer", [first, ExceptionGroup("inner", [second]), third])
    assert list(errors.leaves(group)) == [first, second, third]


@pytest.mark.parametrize("each", CLASSES)
def test_the_text_of_an_error_is_what_a_user_reads(each: type[errors.RuntimedError]) -> None:
    text = "one line"
    assert text in str(each(text))
