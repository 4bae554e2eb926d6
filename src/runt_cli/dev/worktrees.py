"""`runt dev worktrees`: the daemons of worktrees."""

from __future__ import annotations

import click

__all__ = ["worktrees"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def worktrees(as_json: bool) -> None:
    """List the daemons of worktrees, running or not.

    \b
    Examples:
      RUNTIMED_DEV=1 runt dev worktrees
      RUNTIMED_DEV=1 runt dev worktrees --json
    """
    from runt_cli.dev.listing import require_development, show_worktrees

    require_development()
    show_worktrees(as_json=as_json)
