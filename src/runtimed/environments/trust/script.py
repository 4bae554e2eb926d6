"""The script blocks (PEP 723) in a notebook's cells, as trust sees them. Pure.

Launching takes the one block of the code cells. Trust also remembers what might become that block
by an edit that nobody would take for consent: deleting a second one, making a cell code, mending a
line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["read_script"]

_START = "# /// script"

#: A cell without this has nothing that could become a block without being written anew.
_SIGN = "/// script"


def read_script(cells: Iterable[tuple[str, str]]) -> Mapping[str, Any] | None:
    """What type and source of a notebook's cells say about packages; None for nothing.

    Shape: `dependencies` and `requires-python` as the block has them; `unread`: texts of what is
    none as it stands. What is empty is left out.
    """
    candidates = [(kind, source) for kind, source in cells if _SIGN in source]
    if not candidates:
        return None
    unread = [run for _, source in candidates for run in _runs(source)]
    return {"unread": unread} if unread else None


def _runs(source: str) -> Iterator[str]:
    """The comments in which a block begins: each from a start marker to the last line of it."""
    run: list[str] | None = None
    for line in source.splitlines():
        text = line.rstrip()
        if text == _START and run is None:
            run = [text]
        elif run is not None and text.startswith("#"):
            run.append(text)
        elif run is not None:
            yield "\n".join(run)
            run = None
    if run is not None:
        yield "\n".join(run)
