"""`runt notebooks`: the open notebooks, with and without a kernel."""

from __future__ import annotations

import click

__all__ = ["notebooks"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def notebooks(as_json: bool) -> None:
    """List the open notebooks.

    A notebook stays open for a while after the last program has left it.

    \b
    Examples:
      runt notebooks
      runt notebooks --json
    """
    from runt_cli.rooms import show_rooms

    show_rooms(only_kernels=False, as_json=as_json)
