"""The cattrs converter behind `convert`: how plain values and attrs classes look in JSON.

Reading is strict: a value of another type is refused and never bent into shape. JSON that is only
passed on is neither looked into nor copied.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from runtimed.protocol.spelling import Paths, SignedInt

__all__ = ["Hook", "Json", "converter"]

T = TypeVar("T")
Json = dict[str, Any]
Hook = Callable[[Any, Any], Any]


def _exactly(expected: type, name: str) -> Hook:
    def check(value: Any, _: Any) -> Any:
        if type(value) is expected:
            return value
        raise TypeError(f"expected {name}")

    return check


def _natural(value: Any, _: Any) -> int:
    if type(value) is int and value >= 0:
        return value
    raise TypeError("expected a non-negative integer")


def _number(value: Any, _: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise TypeError("expected a number")


def _buffer(value: Any, _: Any) -> bytes:
    if type(value) is list:
        return bytes(value)
    raise TypeError("expected an array of integers from 0 to 255")


def _texts(value: Any, _: Any) -> tuple[str, ...]:
    if type(value) is list and all(type(text) is str for text in value):
        return tuple(value)
    raise TypeError("expected an array of strings")


def _paths(value: Any, _: Any) -> tuple[Any, ...]:
    if type(value) is list and all(type(path) is list for path in value):
        return tuple(value)
    raise TypeError("expected an array of arrays")


def _text_map(value: Any, _: Any) -> dict[str, str]:
    if type(value) is dict and all(type(text) is str for text in value.values()):
        return value
    raise TypeError("expected an object of strings")


def _structure_tuple(converter: Converter, kind: Any) -> Hook:
    item = get_args(kind)[0]
    hook = converter.get_structure_hook(item)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is list:
            return tuple([hook(element, item) for element in value])
        raise TypeError("expected an array")

    return structure


def _is_tuple(kind: Any) -> bool:
    return bool(get_origin(kind) is tuple)


def _unchanged(value: T) -> T:
    return value


def _overrides(cls: type[attrs.AttrsInstance]) -> dict[str, Any]:
    """The rules of `spelling`, as far as cattrs can apply them."""
    return {
        field.name: override(
            rename=field.metadata.get("name"),
            omit_if_default=(field.default is None and not field.metadata.get("null"))
            or field.metadata.get("omit_empty", False),
        )
        for field in attrs.fields(cls)
    }


def _structure_attrs(converter: Converter, cls: type[attrs.AttrsInstance]) -> Hook:
    attrs.resolve_types(cls)
    generated = make_dict_structure_fn(cls, converter, **_overrides(cls))
    nullable = [
        field.metadata.get("name", field.name)
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING and type(None) in get_args(field.type)
    ]

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise TypeError("expected an object")
        for name in nullable:
            if name not in value:
                value = {**value, name: None}
        return generated(value, cls)

    return structure


def _unstructure_attrs(
    converter: Converter, cls: type[attrs.AttrsInstance]
) -> Callable[[Any], Json]:
    attrs.resolve_types(cls)
    return make_dict_unstructure_fn(cls, converter, **_overrides(cls))


def _make_converter() -> Converter:
    converter = Converter(detailed_validation=True)
    for kind, hook in {
        str: _exactly(str, "a string"),
        bool: _exactly(bool, "a boolean"),
        int: _natural,
        float: _number,
        bytes: _buffer,
    }.items():
        converter.register_structure_hook(kind, hook)
    converter.register_unstructure_hook(bytes, list)
    converter.register_structure_hook_factory(
        attrs.has, functools.partial(_structure_attrs, converter)
    )
    converter.register_unstructure_hook_factory(
        attrs.has, functools.partial(_unstructure_attrs, converter)
    )
    converter.register_structure_hook_factory(
        _is_tuple, functools.partial(_structure_tuple, converter)
    )
    # Whole-type hooks: they spare a call for every element, and JSON that we only pass on is
    # neither looked into nor copied.
    for whole, check in (
        (SignedInt, _exactly(int, "an integer")),
        (Paths, _paths),
        (tuple[str, ...], _texts),
        (dict[str, str], _text_map),
        (dict[str, Any], _exactly(dict, "an object")),
    ):
        converter.register_structure_hook_func(functools.partial(_same, whole), check)
        converter.register_unstructure_hook_func(functools.partial(_same, whole), _unchanged)
    return converter


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)


converter = _make_converter()
"""The only one: hooks are generated once for each class, when it is first met."""
