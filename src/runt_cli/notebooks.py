"""`runt notebooks`: the open notebooks, with and without a kernel."""

from __future__ import annotations

import click

__all__ = ["notebooks"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
def notebooks(as_json: bool, quiet: bool) -> None:
    """List the open notebooks.

    A notebook stays open for a while after the last program has left it. STATUS `busy +2` says that
    two cells wait behind the one that runs, UNSAVED that the file lacks changes, which the daemon
    has. A narrow terminal gets fewer columns, a pipe gets all.

    \b
    Examples:
      runt notebooks
      runt notebooks --json
      runt notebooks --quiet
    """
    from runt_cli.open_notebooks import show_notebooks

    show_notebooks(as_json=as_json, quiet=quiet)
