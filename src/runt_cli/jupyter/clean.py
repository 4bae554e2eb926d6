"""`runt jupyter clean`: remove the connection files of kernels that are gone."""

from __future__ import annotations

import click

__all__ = ["clean"]


@click.command
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a kernel may take to answer.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def clean(timeout: float, dry_run: bool, as_json: bool) -> None:
    """Remove the connection files of kernels that are gone.

    A file stays while a process has it or holds its ports, while any of its ports takes a
    connection, and for ten seconds after it was written. Files that can't be read stay, too.

    \b
    Examples:
      runt jupyter clean --dry-run
      runt jupyter clean
    """
    from runt_cli.terminal import say
    from runtimed.jupyter.cleaning import clean_connection_files

    done = clean_connection_files(timeout=timeout, dry_run=dry_run)
    if as_json:
        from runt_cli.terminal import show_json

        errors = [{"path": str(file.path), "reason": file.reason} for file in done.errors]
        removed = [str(path) for path in done.removed]
        show_json({"removed": removed, "alive": done.alive, "errors": errors, "dry_run": dry_run})
        return
    for path in done.removed:
        say(f"{'Would remove' if dry_run else 'Removed'}: {path}")
    for file in done.errors:
        say(f"Skipped {file.path}: {file.reason}", err=True)
    failed, stale = len(done.errors), len(done.removed)
    counts = f"{done.alive} alive, {failed} error{'' if failed == 1 else 's'}"
    if dry_run:
        click.echo(f"Dry run complete: {stale} stale, {counts}")
    else:
        files = "connection file" if stale == 1 else "connection files"
        click.echo(f"Cleaned {stale} stale {files} ({counts})")
