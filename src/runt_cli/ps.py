"""`runt ps`: the kernels that are running."""

from __future__ import annotations

import click

__all__ = ["ps"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ps(as_json: bool) -> None:
    """List the running kernels.

    Notebooks that are open without a kernel are in `runt notebooks`.

    \b
    Examples:
      runt ps
      runt ps --json
    """
    from runt_cli.rooms import show_rooms

    show_rooms(only_kernels=True, as_json=as_json)
