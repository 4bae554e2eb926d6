"""What is remembered beside a room's document: whether it has something that nobody has approved.

Blocking functions: run them in a thread.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from runtimed.replacing import replace_file

__all__ = ["read_record", "write_record"]


def read_record(path: Path) -> bool | None:
    """Whether the document is tainted; None if that is not known."""
    try:
        tainted = orjson.loads(path.read_bytes())["tainted"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return tainted if isinstance(tainted, bool) else None


def write_record(path: Path, tainted: bool) -> None:
    """Raises: OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, orjson.dumps({"tainted": tainted}))
