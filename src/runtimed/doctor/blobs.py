"""Blobs that are not what their name says."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from runtimed.blobs.files import blob_path, is_blob_hash
from runtimed.doctor.aside import move_aside
from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site

__all__ = ["blobs"]

_CHUNK = 2**20

#: Where damaged blobs are moved, below the store; no shard has such a name.
_ASIDE = "corrupt"


def blobs(site: Site) -> Iterator[Finding]:
    """Blobs whose content has another hash. The newest first, as many as time allows."""
    root = site.paths.blobs
    give_up = time.monotonic() + site.reading
    names = _newest_first(root)
    if not names:
        yield ok("blobs", "There are no blobs", root)
        return
    checked = 0
    damaged: list[str] = []
    for name in names:
        if checked and time.monotonic() > give_up:
            break
        right = _is_right(root, name)
        checked += right is not None
        if right is False:
            damaged.append(name)
    extent = f"{checked} of {len(names)} blobs were checked, the newest first"
    if not damaged:
        yield ok("blobs", f"{extent}; all are what their names say", root)
        return

    def move() -> str:
        moved = 0
        for name in damaged:
            if _is_right(root, name) is False:  # put anew meanwhile?
                path = blob_path(root, name)
                move_aside(path, root / _ASIDE / name)
                path.with_name(path.name + ".meta").unlink(missing_ok=True)
                moved += 1
        return f"Moved {moved} damaged blob{'s' if moved != 1 else ''} to {root / _ASIDE}"

    count = len(damaged)
    yield Finding(
        name="blobs",
        status="error",
        path=root,
        what=f"{count} damaged blob{'s' if count != 1 else ''} ({damaged[0][:16]}...); {extent}",
        why="The machine or its disk failed while they were written, or something changed them; "
        "outputs that show them are wrong or missing",
        remedy="Move them away, and run the cells again whose outputs are missing",
        repair=move,
        alone=True,
    )


def _newest_first(root: Path) -> list[str]:
    found: list[tuple[float, str]] = []
    for number in range(256):
        shard = f"{number:02x}"
        try:
            with os.scandir(root / shard) as entries:
                for entry in entries:
                    if is_blob_hash(name := shard + entry.name):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, name))
        except OSError:
            continue
    return [name for _, name in sorted(found, reverse=True)]


def _is_right(root: Path, name: str) -> bool | None:
    """Whether a blob has the content of its name; None if it is gone."""
    digest = hashlib.sha256()
    try:
        with blob_path(root, name).open("rb", buffering=0) as file:
            while data := file.read(_CHUNK):
                digest.update(data)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    return digest.hexdigest() == name
