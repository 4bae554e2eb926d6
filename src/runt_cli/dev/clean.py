"""`runt dev clean`: remove what worktrees' daemons have left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runt_cli.dev.worktree_states import WorktreeState

__all__ = ["clean"]


@click.command(short_help="Remove what daemons of worktrees have left.")
@click.option("--hash", "digits", metavar="HASH", help="The worktree of this hash, or its start.")
@click.option("--all", "everything", is_flag=True, help="All worktrees.")
@click.option("--stale", is_flag=True, help="Those whose worktree is gone.")
@click.option("--force", is_flag=True, help="Stop daemons that run there.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def clean(
    digits: str | None, everything: bool, stale: bool, force: bool, yes: bool, dry_run: bool
) -> None:
    """Remove what worktrees' daemons have left: environments, outputs, unsaved notebooks.

    Without an option it is the workspace you are in. A daemon that runs is left alone unless
    --force is given.

    \b
    Examples:
      RUNTIMED_DEV=1 runt dev clean --stale
      RUNTIMED_DEV=1 runt dev clean --hash eda6cf0b63f1 --force --yes
      RUNTIMED_DEV=1 runt dev clean --all --dry-run
    """
    from runt_cli.dev.listing import require_development
    from runt_cli.dev.worktree_states import size_of
    from runt_cli.failure import Fail
    from runt_cli.terminal import show_table, tilde

    require_development()
    if (digits is not None) + everything + stale > 1:
        raise click.UsageError("--hash, --all and --stale exclude each other.")
    chosen = _chosen(digits, everything, stale)
    if not chosen:
        return
    running = [state for state in chosen if state.is_running]
    if running and not force:
        names = ", ".join(
            f"{state.hash} (pid {state.pid}, {state.worktree or 'worktree unknown'})"
            for state in running
        )
        raise Fail(f"Error: daemons are running: {names}. Stop them, or give --force")
    sizes = {state.hash: size_of(state) for state in chosen}
    show_table(
        ("HASH", "WORKTREE", "STATUS", "SIZE"),
        [
            (
                state.hash,
                tilde(state.worktree) if state.worktree else None,
                _status(state),
                _decimal(sizes[state.hash]),
            )
            for state in chosen
        ],
    )
    noun = "directory" if len(chosen) == 1 else "directories"
    total = _decimal(sum(sizes.values()))
    click.echo(f"Will delete {len(chosen)} worktree state {noun} ({total})")
    if dry_run:
        click.echo("(dry-run mode - no files deleted)")
        return
    if not (yes or _agreed()):
        raise Fail("Aborted.")
    _delete(chosen)


def _chosen(digits: str | None, everything: bool, stale: bool) -> list[WorktreeState]:
    """What is to be removed; says so when that is nothing."""
    from runt_cli.dev.worktree_states import worktree_states
    from runt_cli.failure import Fail
    from runt_cli.terminal import say
    from runtimed.errors import StateDirectoryUnusable
    from runtimed.paths import workspace_path, worktree_hash

    states = worktree_states()
    if digits is not None:
        found = [state for state in states if state.hash.startswith(digits.lower())]
        if len(found) != 1 or not digits:
            what = "No worktree" if not found else f"Each of {len(found)} worktrees"
            raise Fail(f"{what} has a hash that starts with '{digits}'. See 'runt dev worktrees'")
        return found
    if everything:
        if not states:
            click.echo("No worktree state directories found.")
        return states
    if stale:
        if not (gone := [state for state in states if state.is_stale]):
            click.echo("No stale worktree state directories found.")
        return gone
    try:
        workspace = workspace_path()
    except StateDirectoryUnusable as error:
        raise Fail(f"Error: {error}; or give --hash or --all") from error
    assert workspace is not None, "development mode has a workspace, or fails"
    here = [state for state in states if state.hash == worktree_hash(workspace)]
    if not here:
        say(f"No worktree state to clean for {workspace} (hash: {worktree_hash(workspace)})")
    return here


def _status(state: WorktreeState) -> str:
    if state.is_running:
        return "running"
    return "stale" if state.is_stale else "stopped"


def _agreed() -> bool:
    click.echo("Continue? [y/N] ", nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _delete(chosen: list[WorktreeState]) -> None:
    """Raises: Fail at the end when something could not be removed."""
    from runt_cli.daemon.process import stop_daemon
    from runt_cli.dev.worktree_states import remove
    from runt_cli.failure import Fail
    from runt_cli.terminal import say
    from runtimed.errors import RuntimedError

    done = 0
    for state in chosen:
        try:
            if state.is_running:
                stop_daemon(state.paths)
            remove(state)
        except (OSError, RuntimedError, Fail) as error:
            reason = " ".join(str(error).split())
            say(f"Failed to delete {state.hash}: {reason}", err=True)
        else:
            click.echo(f"Deleted {state.hash}")
            done += 1
    click.echo(f"Cleaned {done} worktree(s)")
    if done < len(chosen):
        raise Fail(f"{len(chosen) - done} could not be deleted")


def _decimal(count: float) -> str:
    """Such as `12.3 MB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
