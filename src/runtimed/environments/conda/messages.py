"""What the daemon and its conda worker say to each other: one order in, JSON lines out.

Neither side is imported by the other, so that the daemon never loads the solver. A line is either
a progress phase, in the spelling of the wire, or one of the values here.
"""

from __future__ import annotations

from typing import Any

import attrs
import cattrs
import orjson

from runtimed.environments.conda.channels import Channel
from runtimed.protocol import progress
from runtimed.protocol.spelling import snake_case

__all__ = ["Answered", "Done", "Failed", "Line", "Order", "from_line", "order_from_line", "to_line"]


@attrs.frozen
class Order:
    """Solve for `specs` and link what was found into `prefix`.

    cache: folder for packages and metadata, shared by whoever uses it.
    """

    prefix: str
    specs: list[str]
    channels: list[Channel]
    cache: str


@attrs.frozen
class Answered:
    """A channel has said what it offers."""

    url: str


@attrs.frozen
class Failed:
    """The end: it can't be done."""

    message: str
    failed_package: str | None = None


@attrs.frozen
class Done:
    """The end: everything is linked."""


Line = progress.Phase | Answered | Failed | Done

_converter = cattrs.Converter()
_OWN = {"answered": Answered, "failed": Failed, "done": Done}
_PHASES = {snake_case(phase.__name__): phase for phase in progress.Phase.__args__}


def to_line(value: Line | Order) -> bytes:
    tag = snake_case(type(value).__name__)
    return orjson.dumps({"what": tag, **_converter.unstructure(value)}) + b"\n"


def from_line(line: bytes) -> Line:
    """Raises: ValueError for what no worker says."""
    try:
        content: dict[str, Any] = orjson.loads(line)
        tag = content.pop("what")
        kind: Any = _OWN.get(tag) or _PHASES[tag]
        return _converter.structure(content, kind)  # type: ignore[no-any-return]
    except (ValueError, TypeError, AttributeError, KeyError, cattrs.BaseValidationError) as error:
        raise ValueError(f"not a line of the conda worker: {line[:200]!r}") from error


def order_from_line(line: bytes) -> Order:
    content = orjson.loads(line)
    content.pop("what")
    return _converter.structure(content, Order)
