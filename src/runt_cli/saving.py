"""Where a run writes its notebook: looked at before, so that no run is in vain, and written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from runtimed.errors import RuntimedError

if TYPE_CHECKING:
    from runtimed import AsyncSession

__all__ = ["Saved", "check_target", "save_results"]


@attrs.frozen
class Saved:
    """What was written: the paths, in order, and what kept one from being written, if anything."""

    paths: tuple[str, ...] = ()
    error: str | None = None


def check_target(option: str, path: Path) -> None:
    """See whether a notebook can be written there.

    Raises: RuntimedError naming the option and what is wrong.
    """
    if path.is_dir():
        raise RuntimedError(f"{option}: {path} is a folder; name a file")
    folder = path.parent
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise RuntimedError(f"{option}: the folder {folder} {what}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RuntimedError(f"{option}: nothing can be written in the folder {folder}")


async def save_results(session: AsyncSession, *, save: bool, output: str | None) -> Saved:
    """Write the notebook's own file, another one, or both."""
    targets = [*([None] if save else []), *([output] if output is not None else [])]
    paths: list[str] = []
    for target in targets:
        try:
            paths.append(await session.save(target))
        except RuntimedError as error:
            name = target or session.notebook_id
            return Saved(tuple(paths), f"{name} was not saved: {error}")
    return Saved(tuple(paths))
