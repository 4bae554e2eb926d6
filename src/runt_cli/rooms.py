"""`runt rooms`: what `runt notebooks` was called."""

from __future__ import annotations

import click

__all__ = ["rooms"]


@click.command(hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rooms(as_json: bool) -> None:
    """List the open notebooks; use `runt notebooks`.

    \b
    Example:
      runt rooms --json
    """
    from runt_cli.open_notebooks import show_notebooks

    click.echo("Warning: 'runt rooms' is deprecated. Use 'runt notebooks' instead.", err=True)
    show_notebooks(as_json=as_json, quiet=False)
