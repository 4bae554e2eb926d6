"""Moving a damaged file out of the way; what may hold a user's work is never deleted."""

from __future__ import annotations

from pathlib import Path

__all__ = ["move_aside"]


def move_aside(path: Path, to: Path | None = None) -> Path:
    """Rename a file so that a new one can take its place; its new name.

    Shape: `<name>.corrupt`, unless `to` says otherwise; `-2` and so on behind it if that is taken.
    Raises: OSError.
    """
    first = to or path.with_name(f"{path.name}.corrupt")
    first.parent.mkdir(mode=0o700, exist_ok=True)
    target, number = first, 1
    while target.exists() or target.is_symlink():
        number += 1
        target = first.with_name(f"{first.name}-{number}")
    path.rename(target)
    return target
