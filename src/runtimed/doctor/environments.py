"""Environments that somebody began and nobody finished, and copies that nobody uses any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site
from runtimed.environments.cache_folders import Known, build_lock, known_in, remove_unused
from runtimed.environments.directories import (
    environments_in,
    living_owners,
    read_marker,
    remove_folder,
    templates_in,
)
from runtimed.environments.environment import Kind
from runtimed.environments.locks import try_lock

__all__ = ["cached_environments", "pool_environments"]

_KINDS: tuple[Kind, ...] = ("uv", "conda")
_SHOWN = 3


def pool_environments(site: Site) -> Iterator[Finding]:
    """Those of the pools that were being built, or were given out, when their daemon ended."""
    root = site.paths.envs
    left = _left_in_pool(root)
    if not left:
        yield ok("pool-environments", "Nothing is left over in the pools", root)
        return

    def remove() -> str:
        # Looked for anew: a daemon may have come that takes care of its own.
        now_left = _left_in_pool(root)
        for kind, path in now_left:
            remove_folder(root, kind, path)
        return f"Removed {_environments(len(now_left))} of the pools"

    yield _leftovers(site, "pool-environments", root, [path for _, path in left], remove)


def _left_in_pool(root: Path) -> list[tuple[Kind, Path]]:
    owners = set(living_owners(root, tidy=False))
    left = []
    for kind in _KINDS:
        for path in (*environments_in(root, kind), *templates_in(root, kind)):
            marker = read_marker(path)
            if marker is not None and marker.state == "ready":
                continue
            # Without a marker it may be what a living daemon is just making.
            if owners and (marker is None or not marker.owner or marker.owner in owners):
                continue
            left.append((kind, path))
    return left


def cached_environments(site: Site) -> Iterator[Finding]:
    """Those in the cache that were never finished, and kernels' own copies without a kernel."""
    root = site.cached_environments
    left = _left_in_cache(root)
    if not left:
        yield ok("cached-environments", "Nothing is left over in the cache", root)
        return

    def remove() -> str:
        count = sum(remove_unused(root, one.path) for one in left)
        return f"Removed {_environments(count)} of the cache"

    yield _leftovers(site, "cached-environments", root, [one.path for one in left], remove)


def _left_in_cache(root: Path) -> list[Known]:
    return [
        one
        for one in known_in(root)
        if not one.in_use
        and (one.name.own or (one.record is None and not _is_being_built(root, one)))
    ]


def _is_being_built(root: Path, one: Known) -> bool:
    lock = build_lock(root, one.name.fingerprint)
    if not lock.exists():
        return False
    with try_lock(lock) as free:
        return not free


def _leftovers(
    site: Site, name: str, root: Path, paths: Sequence[Path], repair: Callable[[], str]
) -> Finding:
    """A running daemon sees to what others have left, soon after its start and then by the hour."""
    names = ", ".join(path.name for path in paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return Finding(
        name=name,
        status="note" if site.daemon.alive else "warning",
        path=root,
        what=f"{_environments(len(paths))} left over: {names}{more}",
        why="A daemon ended while it built or used them; they take space and nothing else",
        remedy="The daemon removes them in a while"
        if site.daemon.alive
        else "The next daemon removes them",
        repair=repair,
    )


def _environments(count: int) -> str:
    return f"{count} environment{'s' if count != 1 else ''}"
