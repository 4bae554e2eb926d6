"""Compact JSON with sorted keys, and text that UTF-8 can carry.

Equal values give equal bytes, which is what makes equal outputs share one hash. Knows nothing of
outputs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

__all__ = ["compact_json", "is_deeper", "parse_json", "utf8", "well_formed"]

# As many digits as an integer has that orjson may read as a float, and so inexactly.
_LONG_NUMBER = re.compile(rb"\d{19}")
_HALVES = re.compile("[\ud800-\udfff]+")
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def well_formed(text: str) -> str:
    """The text with surrogates made right.

    Kernels may send half a surrogate pair, which UTF-8 (so the wire, the disk and the document)
    can't carry. Two halves that belong together become their character, a lone one U+FFFD.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return _HALVES.sub(lambda halves: "\ufffd" * len(halves[0]), joined)
    return text


def utf8(text: str) -> bytes:
    """The text in UTF-8; lone surrogates become U+FFFD, see `well_formed`."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return well_formed(text).encode()


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text, integers exact however long they are. Raises: ValueError."""
    text = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    return json.loads(text) if _LONG_NUMBER.search(text) else orjson.loads(text)


def is_deeper(value: dict[str, Any] | list[Any], limit: int) -> bool:
    """Whether objects and arrays are nested more than so many deep; a flat one is 1 deep."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def compact_json(value: Any) -> bytes:
    """One JSON text for a value: compact, keys sorted, UTF-8; non-finite numbers are null.

    Raises: ValueError if the value is nested too deeply to write.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except TypeError:  # integers over 64 bits, lone surrogates, deep nesting, foreign types
        try:
            text = json.dumps(
                _plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True
            )
        except RecursionError:
            raise ValueError("nested too deeply for JSON") from None
        return utf8(text)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {well_formed(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return well_formed(str(value))
