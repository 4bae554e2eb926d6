"""All rows, in the order of the budget."""

from __future__ import annotations

from benchmarks import (
    command_line,
    document,
    environments,
    execution,
    notebook,
    peers,
    start_up,
    streaming,
)
from benchmarks.row import Row

__all__ = ["ROWS"]

_ORDER = (
    "first-result",
    "inline-environment",
    "one-plus-one",
    "prints-100k",
    "displays-1000",
    "print-50mb",
    "create-cell",
    "second-peer",
    "subscriber",
    "fifty-peers",
    "join-2000",
    "notebook-100",
    "daemon-start",
    "runt-ps",
    "import-runtimed",
)

_GROUPS = (start_up, environments, execution, streaming, document, peers, notebook, command_line)

ROWS: dict[str, Row] = {
    row.name: row
    for row in sorted(
        (row for group in _GROUPS for row in group.ROWS), key=lambda row: _ORDER.index(row.name)
    )
}
