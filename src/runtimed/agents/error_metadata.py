"""What a client is told about an exception beyond its text: JSON data, bounded in every direction.

Pure. Exceptions carry whatever their makers put on them: objects that refer to themselves, whole
responses, clients with keys in them. So everything is cut to size, and nothing is called but str.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping
from typing import Any

from runtimed.agents.errors import AgentRuntimeError
from runtimed.errors import leaves

__all__ = ["error_text", "metadata_of", "sole_error"]

_DEPTH = 4
_ITEMS = 20
_CHARACTERS = 4000


def sole_error(error: BaseException) -> BaseException:
    """The exception itself, or the one that is alone in the group it came out with."""
    found = list(leaves(error))
    return found[0] if len(found) == 1 else error


def error_text(error: BaseException) -> str:
    """An exception's message; its class's name if it has none."""
    error = sole_error(error)
    found = list(leaves(error))
    if len(found) > 1:
        return "; ".join(map(error_text, found))
    if isinstance(error, AgentRuntimeError):
        return error.error  # its str has the metadata in it
    return _text_of(error).strip() or type(error).__name__


def metadata_of(error: BaseException, *, debug: bool = False) -> dict[str, Any]:
    """The class's name, what the exception's own `metadata` says, its cause and its attributes.

    With `debug` also the traceback, whose paths are nobody's business outside.
    """
    error = sole_error(error)
    found = _described(error, depth=_DEPTH, seen=frozenset())
    own = getattr(error, "metadata", None)
    if isinstance(own, Mapping):
        found.update(_bounded(own, _DEPTH, frozenset()))
    if debug:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        found["traceback"] = _cut("".join(lines))
    return found


def _described(error: BaseException, depth: int, seen: frozenset[int]) -> dict[str, Any]:
    seen = seen | {id(error)}
    found: dict[str, Any] = {"error_name": type(error).__name__}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth > 0 and id(cause) not in seen:
        found["cause"] = {"message": _cut(_text_of(cause)), **_described(cause, depth - 1, seen)}
    details = {
        key: value
        for key, value in getattr(error, "__dict__", {}).items()
        if not key.startswith("_") and key not in ("metadata", "error")
    }
    if details:
        found["error_details"] = _bounded(details, depth, seen)
    return found


def _bounded(value: Any, depth: int, seen: frozenset[int]) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _cut(value)
    if id(value) in seen:
        return "[circular]"
    seen = seen | {id(value)}
    if depth <= 0:
        return f"[{type(value).__name__}]"
    if isinstance(value, Mapping):
        kept = list(value.items())[:_ITEMS]
        found = {_cut(_text_of(key)): _bounded(each, depth - 1, seen) for key, each in kept}
        if len(value) > _ITEMS:
            found["..."] = f"{len(value) - _ITEMS} more keys"
        return found
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_bounded(each, depth - 1, seen) for each in list(value)[:_ITEMS]]
        if len(value) > _ITEMS:
            items.append(f"... {len(value) - _ITEMS} more items")
        return items
    if isinstance(value, BaseException):
        return {"message": _cut(_text_of(value)), **_described(value, depth - 1, seen)}
    return _cut(_text_of(value))


def _cut(text: str) -> str:
    more = len(text) - _CHARACTERS
    return text if more <= 0 else f"{text[:_CHARACTERS]}... [truncated {more} chars]"


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"[{type(value).__name__}]"
