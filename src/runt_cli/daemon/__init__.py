"""The group `runt daemon`: start, stop and look at the daemon itself."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["daemon"]


@click.group(
    cls=LazyGroup,
    commands_in={
        "run": "runt_cli.daemon.run:run",
        "start": "runt_cli.daemon.start:start",
        "stop": "runt_cli.daemon.stop:stop",
        "restart": "runt_cli.daemon.restart:restart",
        "install": "runt_cli.daemon.install:install",
        "uninstall": "runt_cli.daemon.uninstall:uninstall",
        "status": "runt_cli.daemon.status:status",
        "logs": "runt_cli.daemon.logs:logs",
        "doctor": "runt_cli.daemon.doctor:doctor",
        "flush": "runt_cli.daemon.flush:flush",
        "ping": "runt_cli.daemon.ping:ping",
        "shutdown": "runt_cli.daemon.shutdown:shutdown",
        "list-worktrees": "runt_cli.daemon.list_worktrees:list_worktrees",
    },
)
def daemon() -> None:
    """Start, stop and look at the daemon.

    All commands mean the daemon of this environment: the one that RUNTIMED_SOCKET_PATH names, that
    of the workspace in development mode, or yours.
    """
