"""Fields of the agents' wire messages: what a value may be, said once for constructing and reading.

A field's kind is its attrs validator, and it also knows how JSON data becomes such a value. So what
a program may construct is what the wire may carry, and both complain in the same words.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import attrs

__all__ = [
    "Kind",
    "fixed",
    "integer",
    "json_object",
    "list_of",
    "nested",
    "one_of",
    "optional",
    "read",
    "string",
    "text_map",
    "truth",
    "written",
]

T = TypeVar("T")


@attrs.frozen
class Kind:
    """What a field may hold.

    Shape: `check` raises ValueError for anything else; `take` makes it of JSON data, and is None
    where the data is the value.
    """

    check: Callable[[Any], None]
    take: Callable[[Any], Any] | None = None

    def __call__(self, _instance: object, field: attrs.Attribute[Any], value: Any) -> None:
        """As a validator: the complaint begins with the field's name."""
        try:
            self.check(value)
        except ValueError as error:
            raise ValueError(f"{field.name}{_joined(error)}") from None


# ---------------------------------------------------------------------- kinds


def _instance_of(cls: type | tuple[type, ...], name: str) -> Kind:
    def check(value: Any) -> None:
        if not isinstance(value, cls):
            raise ValueError(f"must be {name}, not {_named(value)}")

    return Kind(check)


def _check_integer(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):  # True is an int to Python alone
        raise ValueError(f"must be an integer, not {_named(value)}")


def _check_object(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be an object, not {_named(value)}")
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"must have strings as keys, not {_named(key)}")


def _check_text_map(value: Any) -> None:
    _check_object(value)
    for key, each in value.items():
        if not isinstance(each, str):
            raise ValueError(f"[{key!r}] must be a string, not {_named(each)}")


string = _instance_of(str, "a string")
truth = _instance_of(bool, "true or false")
integer = Kind(_check_integer)
json_object = Kind(_check_object)
text_map = Kind(_check_text_map)


def fixed(_instance: object, field: attrs.Attribute[Any], value: Any) -> None:
    """A validator: the field's default is the only value it may have."""
    if value != field.default:
        raise ValueError(f"{field.name} must be {field.default!r}, not {value!r}")


def one_of(*choices: str) -> Kind:
    def check(value: Any) -> None:
        if value not in choices:
            raise ValueError(f"must be {' or '.join(map(repr, choices))}, not {value!r}")

    return Kind(check)


def optional(kind: Kind) -> Kind:
    """None, or the kind. (Reading leaves out what is null, so only the check differs.)"""

    def check(value: Any) -> None:
        if value is not None:
            kind.check(value)

    return Kind(check, kind.take)


def list_of(kind: Kind) -> Kind:
    is_list = _instance_of(list, "a list")

    def each_named(do: Callable[[Any], Any], values: Any) -> list[Any]:
        is_list.check(values)
        found = []
        for index, value in enumerate(values):
            try:
                found.append(do(value))
            except ValueError as error:
                raise ValueError(f"[{index}]{_joined(error)}") from None
        return found

    def check(values: Any) -> None:
        each_named(kind.check, values)

    return Kind(check, functools.partial(each_named, kind.take) if kind.take else None)


def nested(*classes: type) -> Kind:
    """One of these classes; in JSON they are told apart by `type` if there are several."""
    is_one = _instance_of(classes, " or ".join(each.__name__ for each in classes))

    def take(value: Any) -> Any:
        _check_object(value)
        if len(classes) == 1:
            return read(classes[0], value)
        tags = {_fields(each)["type"].default: each for each in classes}
        tag = value.get("type")
        if not isinstance(tag, str) or tag not in tags:
            raise ValueError(f".type must be {' or '.join(map(repr, tags))}, not {tag!r}")
        return read(tags[tag], value)

    return Kind(is_one.check, take)


def _named(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _joined(error: ValueError) -> str:
    """The error as a continuation of the field's name: `[0].cwd must be a string`."""
    message = str(error)
    return message if message[:1] in (".", "[") else f" {message}"


# ---------------------------------------------------------------------- JSON objects and classes


@functools.cache
def _fields(cls: Any) -> dict[str, attrs.Attribute[Any]]:
    return dict(attrs.fields_dict(cls))


def read(cls: type[T], data: Mapping[str, Any]) -> T:
    """A JSON object as one of our classes. Fields that we do not know are ignored.

    Raises: ValueError, whose text begins with a dot and the name of the field that is missing or
    wrong.
    """
    values = {}
    for name, field in _fields(cast("Any", cls)).items():
        value = data.get(name)
        if value is None:
            if field.default is attrs.NOTHING:
                raise ValueError(f".{name} is missing")
            continue
        kind = field.validator
        if isinstance(kind, Kind) and kind.take is not None:
            try:
                value = kind.take(value)
            except ValueError as error:
                raise ValueError(f".{name}{_joined(error)}") from None
        values[name] = value
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f".{error}") from None


def written(value: Any, *, nulls: bool) -> Any:
    """A value of our classes as JSON data, with the fields that are unset as null, or without."""
    cls = type(value)
    if cls is list:
        return [written(each, nulls=nulls) for each in value]
    if not attrs.has(cls):
        return value
    found = {}
    for name in _fields(cls):
        each = getattr(value, name)
        if each is not None:
            found[name] = written(each, nulls=nulls)
        elif nulls:
            found[name] = None
    return found
