"""What a daemon's info file, daemon.json, says: read here alone, and never believed blindly.

Whoever asks may find one of a daemon that is long gone, half of one, or what another program left.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["read_info_file"]


def read_info_file(path: Path) -> dict[str, Any] | None:
    """The values of the info file, of a daemon that lives or not; None without a readable one.

    A value that can't be what it should is left out, as if the file did not have it. Values that
    nobody here knows are kept.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    import orjson  # a quick command without a daemon does without

    try:
        values = orjson.loads(content)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    return {key: value for key, value in values.items() if _CHECKS.get(key, _anything)(value)}


def _anything(_value: object) -> bool:
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_endpoint(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _is_pid(value: object) -> bool:
    return type(value) is int and 1 <= value < 1 << 31


def _is_port(value: object) -> bool:
    return type(value) is int and 0 < value < 1 << 16


def _is_path(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


_CHECKS: dict[str, Callable[[object], bool]] = {
    "endpoint": _is_endpoint,
    "pid": _is_pid,
    "version": _is_text,
    "started_at": _is_text,
    "blob_port": _is_port,
    "worktree_path": _is_path,
    "workspace_description": _is_text,
}
