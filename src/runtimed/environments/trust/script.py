"""The script blocks (PEP 723) in a notebook's cells, as trust sees them. Pure.

Launching takes the one block of the code cells. Trust also remembers what might become that block
by an edit that nobody would take for consent: deleting a second one, making a cell code, mending a
line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runtimed.environments.script_block import CodeCell, ScriptBlock, find_script_block
from runtimed.errors import RuntimedError

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
    block = _block(source for kind, source in candidates if kind == "code")
    script: dict[str, Any] = {}
    if block is not None and block.dependencies:
        script["dependencies"] = list(block.dependencies)
    if block is not None and block.requires_python is not None:
        script["requires-python"] = block.requires_python
    unread = [
        run
        for kind, source in candidates
        for run in _runs(source)
        if block is None or kind != "code" or _block([run]) is None
    ]
    if unread:
        script["unread"] = unread
    return script or None


def _block(sources: Iterable[str]) -> ScriptBlock | None:
    """The one good block of some code cells."""
    try:
        return find_script_block(CodeCell(number, text) for number, text in enumerate(sources, 1))
    except RuntimedError:
        return None


def _runs(source: str) -> Iterator[str]:
    """The comments in which a block begins: each from a start marker to the last line of it."""
    run: list[str] = []
    for line in source.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        text = line.rstrip()
        if run and text.startswith("#"):
            run.append(text)
        else:
            if run:
                yield "\n".join(run)
            run = [text] if text == _START else []
    if run:
        yield "\n".join(run)
