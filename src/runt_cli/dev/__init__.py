"""The group `runt dev`: the daemons of worktrees, for those who work on several at once."""

from __future__ import annotations

import click

from runt_cli.lazy import LazyGroup

__all__ = ["dev"]


@click.group(
    cls=LazyGroup,
    commands_in={
        "worktrees": "runt_cli.dev.worktrees:worktrees",
        "clean": "runt_cli.dev.clean:clean",
    },
    hidden=True,
)
def dev() -> None:
    """List and clean up the daemons of worktrees. Needs RUNTIMED_DEV=1."""
