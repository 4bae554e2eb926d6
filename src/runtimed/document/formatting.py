"""What a formatter is given and what is taken from its answer. Runs nothing.

Python cells go to ruff as one notebook: it formats each on its own, and knows that a last semicolon
silences a cell, which it would remove from a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

__all__ = ["formatted_sources", "has_magics", "rejected_cell", "without_last_newline", "wrapped"]

# `%time x`, `%%bash`, `!ls`, `?print`, `print?`, `x = !ls`, `x = %time y`
_MAGIC = re.compile(r"^\s*(?:%|!|\?)|\?\s*$|=\s*(?:!(?!=)|%%?[A-Za-z])", re.MULTILINE)

# `cell.ipynb:<cell>:<line>:<column>: Expected an expression`
_REJECTED = re.compile(r":(\d+):\d+:\d+:")


def has_magics(source: str) -> bool:
    """Whether a cell has lines that only IPython understands. In doubt it has."""
    return _MAGIC.search(source) is not None


def wrapped(sources: Sequence[str]) -> bytes:
    """The cells as a notebook file."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": str(number), "metadata": {}, "outputs": [], "source": source,
         "execution_count": None}
        for number, source in enumerate(sources)
    ]  # fmt: skip
    return orjson.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def formatted_sources(answer: bytes, count: int) -> list[str]:
    """The cells of the notebook that the formatter answers with.

    Raises: ValueError if this is no notebook of so many cells.
    """
    cells = orjson.loads(answer)["cells"]
    if len(cells) != count:
        raise ValueError(f"{len(cells)} cells came back, not {count}")
    return [
        source if isinstance(source := cell["source"], str) else "".join(source) for cell in cells
    ]


def rejected_cell(complaint: str, count: int) -> int | None:
    """The index of the cell that the formatter could not read, if that is what it complains of."""
    match = _REJECTED.search(complaint)
    index = int(match[1]) - 1 if match is not None else -1
    return index if 0 <= index < count else None


def without_last_newline(text: str) -> str:
    """What a formatter of files writes, as a cell has it."""
    return text[:-1] if text.endswith("\n") else text
