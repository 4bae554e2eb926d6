"""PEP 723: the block of comments in a code cell that says what the notebook needs.

Pure: the sources of the code cells in, the block or an error out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from runtimed.environments.requirements import (
    parse_requirements,
    parse_requires_python,
)
from runtimed.environments.toml_text import TomlInvalid, line_of_key, parse_toml
from runtimed.errors import RequirementRefused, ScriptBlockInvalid

__all__ = ["CodeCell", "ScriptBlock", "find_script_block"]

_OPENING, _CLOSING = "# /// script", "# ///"


@attrs.frozen
class CodeCell:
    """One code cell. `number` is its place among all cells, from 1, as people count them."""

    number: int
    source: str


@attrs.frozen
class ScriptBlock:
    """What a block asks for, parsed. `dependencies` may be empty: then it asks for no packages.

    notes: what in it is not used, and why.
    """

    cell: int
    line: int
    dependencies: tuple[str, ...]
    requires_python: str | None = None
    notes: tuple[str, ...] = ()


def find_script_block(cells: Iterable[CodeCell]) -> ScriptBlock | None:
    """The one block of a notebook; None if there is none.

    Special cases: a block that is not closed, or with a line that is no comment, is none; blocks of
    other types are none of ours.
    Raises: ScriptBlockInvalid for several blocks, bad TOML, or entries that are no requirements; it
    names the cell and its line.
    """
    blocks = [(cell.number, *block) for cell in cells for block in _blocks(cell.source)]
    if not blocks:
        return None
    if len(blocks) > 1:
        places = ", ".join(f"cell {cell} line {line}" for cell, line, _ in blocks[:5])
        raise ScriptBlockInvalid(
            f"multiple # /// script blocks found (PEP 723 requires exactly one): {places}. "
            "Keep one of them"
        )
    return _parsed(*blocks[0])


def _blocks(source: str) -> Iterator[tuple[int, str]]:
    """Each block's first line, from 1, and its TOML text."""
    start: int | None = None
    content: list[str] = []
    # Not splitlines: a form feed or U+2028 inside a comment is no line end.
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, 1):
        if start is None:
            if line.rstrip() == _OPENING:
                start, content = number, []
        elif line.rstrip() == _CLOSING:
            yield start, "\n".join(content)
            start = None
        elif line == "#" or line.startswith("# "):
            content.append(line[2:])
        else:
            start = None


def _parsed(cell: int, line: int, text: str) -> ScriptBlock:
    def place(at: int | None) -> str:
        return f"cell {cell}, line {line + (at or 0)}"

    try:
        table = parse_toml(text)
    except TomlInvalid as invalid:
        raise ScriptBlockInvalid(
            f"invalid TOML in script block: {invalid} ({place(invalid.line)})"
        ) from None

    def refused(key: str, problem: object) -> ScriptBlockInvalid:
        at = place(line_of_key(text, key))
        return ScriptBlockInvalid(f"invalid script block: {problem} ({at})")

    listed: Any = table.get("dependencies", [])
    if not isinstance(listed, list):
        raise refused("dependencies", 'dependencies is not a list such as ["numpy"]')
    try:
        dependencies = tuple(found.text for found in parse_requirements(listed))
    except RequirementRefused as problem:
        raise refused("dependencies", problem) from None
    constraint = None
    if "requires-python" in table:
        try:
            constraint = parse_requires_python(table["requires-python"])
        except RequirementRefused as problem:
            raise refused("requires-python", problem) from None
    return ScriptBlock(cell, line, dependencies, constraint, tuple(_notes(table)))


def _notes(table: dict[str, Any]) -> Iterator[str]:
    if "tool" in table:
        tools = table["tool"]
        names = ", ".join(f"[tool.{name}]" for name in tools) if isinstance(tools, dict) else "tool"
        yield f"{names or '[tool]'} in the script block is not used"
    unknown = sorted(set(table) - {"dependencies", "requires-python", "tool"})
    if unknown:
        yield f"{', '.join(unknown)} in the script block is not known to PEP 723 and not used"
