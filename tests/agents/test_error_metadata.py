"""Section 7: what is told about an exception, and that it is bounded."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtimed.agents.error_metadata import error_text, metadata_of
from runtimed.agents.messages import encode

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


class Refused(Exception):
    def __init__(self, message: Any, /, **attributes: Any) -> None:
        super().__init__(message)
        self.__dict__.update(attributes)


def caused() -> Exception:
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise Refused("outer", status=429) from error
    except Refused as error:
        return error


def test_an_error_is_named_with_its_cause_and_attributes() -> None:
    """Section 7: `error_name`, `cause` when chained, `error_details`."""
    assert metadata_of(caused()) == {
        "error_name": "Refused",
        "cause": {"message": "'inner'", "error_name": "KeyError"},
        "error_details": {"status": 429},
    }


def test_the_entries_of_an_errors_own_metadata_are_there() -> None:
    """Section 7: "the entries of the exception's own `metadata` map"."""
    assert metadata_of(Refused("no", metadata={"tries": 3})) == {
        "error_name": "Refused",
        "tries": 3,
    }


def test_no_traceback_leaves_unless_asked_for() -> None:
    """Section 7; weakness 24: stack traces with file paths go to the client."""
    assert __file__ not in encode(metadata_of(caused()))
    assert __file__ in metadata_of(caused(), debug=True)["traceback"]


def test_what_refers_to_itself_is_survived() -> None:
    """Section 7: must survive self-referencing objects."""
    loop: dict[str, Any] = {}
    loop["self"] = loop
    error = Refused("no", loop=loop)
    error.__dict__["me"] = error
    error.__cause__ = error
    assert metadata_of(error)["error_details"]["loop"] == {"self": "[circular]"}
    encode(metadata_of(error))


def test_everything_is_cut_to_size() -> None:
    """Section 7: depth 4, 20 list items, 20 keys, strings cut at 4,000 characters."""
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    error = Refused(
        "n",
        text="y" * 5000,
        many=list(range(50)),
        keys=dict.fromkeys("abcdefghijklmnopqrstuvwxyz"),
        deep=deep,
    )
    details = metadata_of(error)["error_details"]
    assert details["text"] == "y" * 4000 + "... [truncated 1000 chars]"
    assert details["many"][20:] == ["... 30 more items"]
    assert len(details["keys"]) == 21
    assert encode(details["deep"]).count("[") < 8


def test_an_object_that_cannot_be_shown_is_named() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    assert metadata_of(Refused("n", it=Broken()))["error_details"] == {"it": "[Broken]"}


JSONISH = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.integers(), inner),
    max_leaves=15,
)


@given(JSONISH, JSONISH)
def test_whatever_an_error_carries_the_metadata_is_json(one: Any, other: Any) -> None:
    encode(metadata_of(Refused("n", one=one, metadata={"other": other})))


def test_an_error_alone_in_a_group_is_told_as_itself() -> None:
    group = ExceptionGroup("nursery", [ExceptionGroup("inner", [Refused("the reason")])])
    assert error_text(group) == "the reason"
    assert metadata_of(group)["error_name"] == "Refused"
    assert error_text(ExceptionGroup("g", [Refused("a"), Refused("b")])) == "a; b"


def test_an_error_without_a_text_is_its_class() -> None:
    assert error_text(ValueError()) == "ValueError"
