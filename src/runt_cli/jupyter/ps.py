"""`runt jupyter ps`: kernels with a connection file, and the daemon's."""

from __future__ import annotations

import click

__all__ = ["ps"]


@click.command(short_help="List these kernels, and those of the daemon.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show ports and files, also of dead kernels.")
def ps(as_json: bool, verbose: bool) -> None:
    """List the kernels of Jupyter's connection files, and those of the daemon if one runs.

    The names of Jupyter's are what the other commands of this group take; those of the daemon's are
    notebooks, for `runt interrupt`, `runt stop` and `runt jupyter console --notebook`. A kernel is
    `unresponsive` when its port is open and nobody answers; files of dead ones are counted only.

    \b
    Examples:
      runt jupyter ps
      runt jupyter ps --json
      runt jupyter ps -v
    """
    from runt_cli.jupyter.listing import show_jupyter_kernels

    show_jupyter_kernels(as_json=as_json, verbose=verbose)
