"""How an attrs class says what its fields look like on the wire.

Three rules cover almost every message. A field with a default is optional and left out while it
has that default None. A field that may be None and has no default is written as null, and reads as
None when it is missing. Everything else is required. The markers here name the exceptions, and
`Bare` is the base of the many messages that are nothing but their tag.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Annotated, Any

import attrs

__all__ = ["NULL", "OMIT_EMPTY", "Bare", "SignedInt", "called", "snake_case", "strings"]

NULL = {"null": True}
"""Metadata of a field that is written as null although it has a default."""

OMIT_EMPTY = {"omit_empty": True}
"""Metadata of a collection that is left out while it is empty."""

SignedInt = Annotated[int, "signed"]
"""An integer that may be negative; plain `int` fields refuse negative numbers when read."""


@attrs.frozen
class Bare:
    """Base of messages without fields.

    Subclasses are undecorated: they inherit everything from here, and one class body costs
    microseconds where a generated one costs half a millisecond at import.
    """


def called(name: str) -> dict[str, Any]:
    """Metadata of a field whose key on the wire is no good name in Python."""
    return {"name": name}


def strings(values: Iterable[str]) -> tuple[str, ...]:
    """Any iterable of strings as the tuple that a frozen message holds."""
    return tuple(values)


@functools.cache
def snake_case(name: str) -> str:
    """The tag of a class: CamelCase to snake_case."""
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
