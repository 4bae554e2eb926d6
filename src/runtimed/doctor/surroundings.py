"""What a daemon needs and does not make itself: a home folder, room on the disk, programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runtimed.doctor.finding import Finding, Status, ok
from runtimed.doctor.site import Site
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.deno import DenoTool
from runtimed.environments.uv import find_uv
from runtimed.errors import EnvironmentBuildFailed
from runtimed.paths import cache_root, config_root

__all__ = ["disk", "home", "tools"]

#: Bytes below which a disk counts as full, and as nearly full: an environment takes some 100 MB.
_FULL = 64 * 2**20
_NEARLY = 2**30


def home(site: Site) -> Iterator[Finding]:
    """A home folder that is missing, or folders that can't be written."""
    text = site.environ.get("HOME", "")
    if not text:
        yield Finding(
            name="home",
            status="error",
            what="HOME is not set",
            why="Programs and the daemon may look in different places",
            remedy="Set HOME to your home folder",
        )
    elif not Path(text).is_dir():
        yield Finding(
            name="home",
            status="error",
            path=Path(text),
            what="The home folder does not exist",
            why="Caches and settings have no place",
            remedy="Make it, or set HOME to the right one",
        )
    obstacles: dict[str, list[str]] = {}
    for label, folder in _written(site):
        if (obstacle := _obstacle(folder)) is not None:
            obstacles.setdefault(obstacle, []).append(label)
    for obstacle, labels in obstacles.items():
        yield Finding(
            name="home",
            status="error",
            what=f"{obstacle}, so there is no place for {' and '.join(labels)}",
            why="A daemon can't start or keep anything without it",
            remedy="Make it writable, or set XDG_CACHE_HOME or XDG_CONFIG_HOME to another",
        )
    if text and not obstacles:
        yield ok("home", "The folders of cache and settings can be written")


def _written(site: Site) -> list[tuple[str, Path]]:
    return [
        ("the daemon's files", site.paths.base),
        ("cached environments", site.cached_environments),
        ("settings", config_root(site.environ)),
    ]


def _obstacle(folder: Path) -> str | None:
    """Why nothing can be made at this path; None if it can."""
    there = _existing(folder)
    if not there.is_dir():
        return f"{there} is no folder"
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return f"{there} is on a read-only file system"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} is not writable for you"
    return None


def _existing(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    for each in (path, *path.parents):
        try:
            each.lstat()
        except OSError:
            continue
        return each
    return Path("/")


def disk(site: Site) -> Iterator[Finding]:
    """Disks that we write to and that are full, or soon will be."""
    uv_cache = site.environ.get("UV_CACHE_DIR") or str(cache_root(site.environ) / "uv")
    places = [folder for _, folder in _written(site)]
    seen: set[int] = set()
    least: tuple[int, Path] | None = None
    for place in (*places, site.paths.blobs, site.paths.envs, Path(uv_cache)):
        there = _existing(place)
        try:
            device, numbers = there.stat().st_dev, os.statvfs(there)
        except OSError:
            continue
        if device in seen:
            continue
        seen.add(device)
        free = numbers.f_bavail * numbers.f_frsize
        least = min(least or (free, there), (free, there))
        # Where there is no number of inodes, both are 0.
        if numbers.f_files and not numbers.f_favail:
            yield _short_of_room(there, "error", "has no room for another file (inodes)")
        elif free < _FULL:
            yield _short_of_room(there, "error", f"is full: {_mb(free)} are free")
        elif free < _NEARLY:
            yield _short_of_room(there, "warning", f"is nearly full: {_mb(free)} are free")
    if least is not None and least[0] >= _NEARLY:
        yield ok("disk", f"{_mb(least[0])} are free", least[1])


def _short_of_room(place: Path, status: Status, what: str) -> Finding:
    return Finding(
        name="disk",
        status=status,
        path=place,
        what=f"The disk of {place} {what}",
        why="Outputs and documents wait in memory while they can't be written; environments fail",
        remedy="Free some space: 'runt env clean --all', 'uv cache prune'",
    )


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def tools(site: Site) -> Iterator[Finding]:
    """Programs that environments are made with."""
    try:
        yield ok("tools", "uv is there", find_uv())
    except EnvironmentBuildFailed as error:
        yield Finding(
            name="tools",
            status="error",
            what=f"uv is missing: {error}",
            why="Environments of Python kernels are made with it",
            remedy="Install runtimed anew, or put uv on PATH",
        )
    candidates = DenoTool(environ=site.environ).candidates()
    deno = next((path for path in candidates if path.exists()), None)
    yield Finding(
        name="tools",
        status="note",
        path=deno,
        what="Deno is there" if deno else "Deno is not there: it is fetched when first needed",
    )
    try:
        channels = ", ".join(map(str, ChannelMap.of(site.environ).resolve(())))
    except EnvironmentBuildFailed as error:
        yield Finding(
            name="tools",
            status="error",
            what=f"The conda channels can't be used: {error}",
            why="RUNTIMED_CONDA_CHANNELS names them",
            remedy="Correct the variable",
        )
    else:
        yield Finding(name="tools", status="note", what=f"Conda packages come from {channels}")
