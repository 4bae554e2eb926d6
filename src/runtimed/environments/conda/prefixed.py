"""Which files of a conda environment have its folder written into them.

Packages carry a placeholder where the folder goes, and their records say in which files. Who copies
an environment must put the copy's folder there, also in binaries: there it has to be of one length.
The list is made when an environment is built, for the records themselves are large. Everything here
blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import orjson

__all__ = ["Mode", "prefixed_files", "record_prefixed"]

Mode = Literal["text", "binary"]

_LIST = "conda-meta/runtimed-prefixed.json"


def record_prefixed(prefix: Path) -> None:
    """Make the list. Raises: OSError."""
    found: dict[str, Mode] = {}
    for record in sorted((prefix / "conda-meta").glob("*.json")):
        content = orjson.loads(record.read_bytes())
        for file in content.get("paths_data", {}).get("paths", ()):
            if file.get("prefix_placeholder"):
                found[file["_path"]] = "binary" if file.get("file_mode") == "binary" else "text"
    (prefix / _LIST).write_bytes(orjson.dumps(found))


def prefixed_files(prefix: Path) -> Mapping[str, Mode] | None:
    """Paths below the environment's folder; None if it is no conda environment of ours."""
    try:
        found: dict[str, Mode] = orjson.loads((prefix / _LIST).read_bytes())
    except FileNotFoundError:
        return None
    return found
