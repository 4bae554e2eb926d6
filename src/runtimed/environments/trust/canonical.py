"""The one text of a JSON value that is signed. Pure, and written out here to the last digit: the
bytes must not depend on a library's version."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from runtimed.errors import RuntimedError

__all__ = ["canonical_json"]

_INT_MIN, _UINT_MAX = -(1 << 63), (1 << 64) - 1

#: Metadata is no deeper.
_MAX_DEPTH = 120

#: Numbers with the point at most so many digits right or left are written without an exponent.
_LARGEST, _SMALLEST = 16, -5


def canonical_json(value: Any) -> bytes:
    """The canonical form of a JSON value: the same bytes in every program and version.

    Shape: UTF-8 without spaces. Keys are sorted by code point at every level. Text is escaped as
    little as JSON allows: quote, backslash, and the controls below U+0020 (by letter for
    `\\b \\t \\n \\f \\r`, else four lower-case hex digits). Integers of 64 bits are decimal; other
    numbers have the fewest digits that read back as the same double, and a point (`1.0`, `0.1`) or
    from 1e16 and below 1e-5 an exponent (`1e16`, `1.5e-7`).
    Raises: RuntimedError for what JSON has no form for.
    """
    try:
        return "".join(_written(value, 0)).encode()
    except UnicodeEncodeError as error:
        raise RuntimedError("Not to be signed: half a surrogate pair") from error


def _written(value: Any, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise RuntimedError("Not to be signed: nested too deeply")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise RuntimedError("Not to be signed: a key that is no text")
        separator = "{"
        for key in sorted(value):
            yield separator + encode_basestring(key) + ":"
            yield from _written(value[key], depth + 1)
            separator = ","
        yield "}" if value else "{}"
    elif isinstance(value, (list, tuple)):
        separator = "["
        for item in value:
            yield separator
            yield from _written(item, depth + 1)
            separator = ","
        yield "]" if value else "[]"
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, float):
        return _number(value)
    if not isinstance(value, int):
        raise RuntimedError(f"Not to be signed: {type(value).__name__} is no JSON")
    if not _INT_MIN <= value <= _UINT_MAX:
        raise RuntimedError("Not to be signed: an integer of more than 64 bits")
    return int.__repr__(value)


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise RuntimedError("Not to be signed: a number that is not finite")
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return sign + "0.0"
    _, numbers, exponent = Decimal(float.__repr__(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, numbers))
    point = len(digits) + exponent  # how many digits stand before it
    if exponent >= 0 and point <= _LARGEST:
        text = digits + "0" * exponent + ".0"
    elif 0 < point <= _LARGEST:
        text = f"{digits[:point]}.{digits[point:]}"
    elif _SMALLEST < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{fraction}e{point - 1}"
    return sign + text
