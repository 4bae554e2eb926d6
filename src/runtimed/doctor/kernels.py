"""What is left of the kernels of a daemon that is gone: processes, and files with their keys."""

from __future__ import annotations

from collections.abc import Iterator

from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site
from runtimed.kernels.connection import clear_directory
from runtimed.kernels.registry import KernelRegistry, still_running

__all__ = ["connection_files", "orphaned_kernels"]


def orphaned_kernels(site: Site) -> Iterator[Finding]:
    """Kernels that run without a daemon."""
    path = site.paths.kernel_registry
    if site.daemon.alive:
        return
    orphans = still_running(path)
    if not orphans:
        yield ok("kernels", "No kernel runs without a daemon")
        return

    def end() -> str:
        count = KernelRegistry(path).reap_orphans()
        return f"Ended {count} orphaned kernel{'s' if count != 1 else ''}"

    pids = ", ".join(str(pid) for one in orphans.values() for pid in one)
    count = len(orphans)
    yield Finding(
        name="kernels",
        status="warning",
        path=path,
        what=f"{count} kernel{'s run' if count != 1 else ' runs'} without a daemon (pid {pids})",
        why="Their daemon ended without stopping them; nobody can reach them any more",
        remedy="The next daemon ends them",
        repair=end,
        alone=True,
    )


def connection_files(site: Site) -> Iterator[Finding]:
    """Connection files of kernels whose daemon is gone; each holds a key."""
    folder = site.paths.connections
    if site.daemon.alive:
        return
    try:
        left = len(list(folder.iterdir()))
    except OSError:
        return
    if not left:
        return

    def clear() -> str:
        clear_directory(folder)
        return f"Removed connection files and sockets of kernels that are gone ({left})"

    yield Finding(
        name="connection-files",
        status="warning",
        path=folder,
        what=f"Connection files and sockets of kernels that are gone ({left})",
        why="Their daemon ended without removing them",
        remedy="The next daemon removes them",
        repair=clear,
        alone=True,
    )
