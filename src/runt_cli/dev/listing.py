"""The listing of worktrees' daemons, and the gate before the group `runt dev`."""

from __future__ import annotations

import click

from runt_cli.dev.worktree_states import WorktreeState, worktree_states
from runt_cli.failure import Fail
from runt_cli.terminal import show_json, show_table, tilde
from runtimed.paths import in_development

__all__ = ["require_development", "show_worktrees"]


def require_development() -> None:
    """Raises: Fail outside development mode."""
    if not in_development():
        raise Fail(
            "Error: 'runt dev' commands require RUNTIMED_DEV=1 environment variable. "
            "They are about the daemons of worktrees; yours is no business of theirs"
        )


def show_worktrees(*, as_json: bool) -> None:
    """Print every worktree's daemon."""
    found = worktree_states()
    if as_json:
        show_json([_row(state) for state in found])
    elif not found:
        click.echo("No dev worktree daemons found.")
        click.echo("Start one for the workspace you are in: RUNTIMED_DEV=1 runt daemon start")
    else:
        show_table(
            ("HASH", "STATUS", "WORKTREE", "DESCRIPTION"),
            [
                (
                    state.hash,
                    "running" if state.is_running else "stopped",
                    tilde(state.worktree) if state.worktree else None,
                    state.description,
                )
                for state in found
            ],
        )


def _row(state: WorktreeState) -> dict[str, object]:
    return {
        "hash": state.hash,
        "status": "running" if state.is_running else "stopped",
        "worktree": state.worktree,
        "description": state.description,
        "pid": state.pid,
        "version": state.version,
    }
