"""`runt ps`: the kernels that are running."""

from __future__ import annotations

import click

__all__ = ["ps"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only, those that `runt stop` takes.")
@click.option("-a", "--all", "every", is_flag=True, help="Also notebooks without a kernel.")
def ps(as_json: bool, quiet: bool, every: bool) -> None:
    """List the running kernels.

    They are those of open notebooks, and those with a Jupyter connection file.

    STATUS `busy +2` says that two cells wait behind the one that runs. A warm kernel waits for a
    notebook; one whose SOURCE is jupyter was not started by the daemon. CPU is the share of a
    processor since the kernel began, as in `ps aux`, and MEMORY is what is resident; both count all
    that the kernel has started. A narrow terminal gets fewer columns, a pipe gets all.

    \b
    Examples:
      runt ps
      runt ps --all --json
      runt stop $(runt ps -q)
    """
    from runt_cli.running_kernels import show_kernels

    show_kernels(as_json=as_json, quiet=quiet, every=every)
