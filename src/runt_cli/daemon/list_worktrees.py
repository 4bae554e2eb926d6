"""`runt daemon list-worktrees`: what `runt dev worktrees` lists, for everybody."""

from __future__ import annotations

import click

__all__ = ["list_worktrees"]


@click.command("list-worktrees", short_help="List the daemons of worktrees.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_worktrees(as_json: bool) -> None:
    """List the daemons that worktrees have of their own, running or not.

    \b
    Example:
      runt daemon list-worktrees
    """
    from runt_cli.dev.listing import show_worktrees

    show_worktrees(as_json=as_json)
