"""`runt ps`: the kernels that are running."""

from __future__ import annotations

import click

__all__ = ["ps"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "-q", "--quiet", is_flag=True, help="Print only ids that `runt stop` takes: of notebooks."
)
@click.option("-a", "--all", "every", is_flag=True, help="Also notebooks without a kernel.")
def ps(as_json: bool, quiet: bool, every: bool) -> None:
    """List the running kernels.

    They are those of open notebooks, and those with a Jupyter connection file.

    STATUS `busy +2` says that two cells wait behind the one that runs. A warm kernel waits for a
    notebook; one whose SOURCE is jupyter was not started by the daemon. `runt stop` takes neither,
    and --quiet leaves them out. `runt stop --all` stops all others, and is no error without any.

    AGE is that of the process: a kernel that was warm is older than its notebook. CPU is the share
    of a processor since then, as in `ps aux`, and MEMORY is what is resident; both count all that
    the kernel has started. A narrow terminal gets fewer columns, a pipe gets all.

    \b
    Examples:
      runt ps
      runt ps --all --json
      runt ps --quiet
    """
    from runt_cli.running_kernels import show_kernels

    show_kernels(as_json=as_json, quiet=quiet, every=every)
