"""What `runt env list` and `runt env clean` look at: the folders, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from runtimed.environments.cache_folders import (
    Known,
    default_cache_folder,
    folder_size,
    known_in,
)
from runtimed.environments.directories import (
    environments_in,
    living_owners,
    read_marker,
    templates_in,
)
from runtimed.environments.environment import Kind
from runtimed.paths import cache_root, default_paths

__all__ = ["Listed", "all_environments", "cache_folder"]


@attrs.frozen
class Listed:
    """One environment. Times in seconds since 1970. `what`: cached, copy, pool, template, rest."""

    path: str
    kind: str
    what: str
    packages: tuple[str, ...]
    size: int
    created: float | None
    last_used: float | None
    in_use: bool

    def as_json(self) -> dict[str, Any]:
        return attrs.asdict(self)


def cache_folder() -> Path:
    return default_cache_folder(cache_root())


def all_environments() -> list[Listed]:
    """The cached ones, the least recently used last, and those of this daemon's pools."""
    cached = sorted(known_in(cache_folder()), key=lambda one: one.last_used, reverse=True)
    return [_cached(one) for one in cached] + _pooled(default_paths().envs)


def _cached(one: Known) -> Listed:
    record = one.record
    what = "copy" if one.name.own else "cached" if record is not None else "rest"
    return Listed(
        path=str(one.path),
        kind=one.name.kind,
        what=what,
        packages=record.packages if record else (),
        size=one.size or folder_size(one.path),
        created=record.created if record else None,
        last_used=one.last_used,
        in_use=one.in_use,
    )


def _pooled(root: Path) -> list[Listed]:
    if not root.is_dir():
        return []
    alive = set(living_owners(root))
    kinds: tuple[Kind, ...] = ("uv", "conda")
    found = []
    for kind in kinds:
        for path in [*templates_in(root, kind), *environments_in(root, kind)]:
            marker = read_marker(path)
            template = path.name.startswith("template-")
            owned = marker is not None and marker.owner in alive
            found.append(
                Listed(
                    path=str(path),
                    kind=kind,
                    what="template" if template else "pool",
                    packages=(),
                    size=folder_size(path),
                    created=marker.created if marker else None,
                    last_used=None,
                    in_use=bool(alive) if template else owned,
                )
            )
    return found
