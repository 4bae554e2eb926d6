"""How an attrs class says what its fields look like on the wire.

Three rules cover almost every message. A field with a default is optional and left out while it
has that default None. A field that may be None and has no default is written as null, and reads as
None when it is missing. Everything else is required. The markers here name the exceptions, `Wire`
is the base of every message, and `Bare` of the many that are nothing but their tag.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Annotated, Any, cast

import attrs

__all__ = [
    "NULL",
    "OMIT_EMPTY",
    "Bare",
    "Paths",
    "SignedInt",
    "Wire",
    "called",
    "snake_case",
    "strings",
]

NULL = {"null": True}
"""Metadata of a field that is written as null although it has a default."""

OMIT_EMPTY = {"omit_empty": True}
"""Metadata of a collection that is left out while it is empty."""

SignedInt = Annotated[int, "signed"]
"""An integer that may be negative; plain `int` fields refuse negative numbers when read."""


Paths = Annotated[tuple[Any, ...], "paths"]
"""Paths into JSON, each an array of keys and indices. What they lead to is for others to check."""


class Wire:
    """Base of messages: equality, hash and repr over whatever fields a subclass has.

    The same for all of them, where attrs would write three methods for each of a hundred classes
    and compile them at every start: half of what importing a message costs. So messages are
    decorated with `@attrs.frozen(eq=False, repr=False)`.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _values(self) == _values(other)

    def __hash__(self) -> int:
        return hash((type(self), _values(self)))

    def __repr__(self) -> str:
        values = zip(attrs.fields(_attrs_class(self)), _values(self), strict=True)
        given = ", ".join(f"{field.name}={value!r}" for field, value in values)
        return f"{type(self).__name__}({given})"


def _attrs_class(message: object) -> type[attrs.AttrsInstance]:
    return cast("type[attrs.AttrsInstance]", type(message))


def _values(message: object) -> tuple[Any, ...]:
    fields = attrs.fields(_attrs_class(message))
    return tuple([getattr(message, field.name) for field in fields])


@attrs.frozen(eq=False, repr=False)
class Bare(Wire):
    """Base of messages without fields.

    Subclasses are undecorated: they inherit everything from here, and one class body costs
    microseconds where a generated one costs a quarter of a millisecond at import.
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
