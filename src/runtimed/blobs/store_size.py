"""How large a blob store is, in bounded time. Blocks; changes nothing."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import attrs

__all__ = ["StoreSize", "measure"]

_SHARDS = 256


@attrs.frozen
class StoreSize:
    """Blobs and their bytes. `exact` is false where only a part was looked at: the names of blobs
    are hashes, so that each part is like the whole."""

    count: int
    size: int
    exact: bool = True


def measure(root: Path, patience: float) -> StoreSize:
    """Count the blobs below `root`, or estimate when that takes longer than `patience` seconds."""
    give_up = time.monotonic() + patience
    shards = [f"{number:02x}" for number in range(_SHARDS)]
    random.shuffle(shards)
    count = size = 0
    for looked_at, shard in enumerate(shards):
        if looked_at and time.monotonic() > give_up:
            scale = _SHARDS / looked_at
            return StoreSize(round(count * scale), round(size * scale), exact=False)
        try:
            with os.scandir(f"{root}/{shard}") as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and not entry.name.endswith(".meta"):
                        size += entry.stat(follow_symlinks=False).st_size
                        count += 1
        except OSError:  # no such shard, or a blob that was removed meanwhile
            continue
    return StoreSize(count, size)
