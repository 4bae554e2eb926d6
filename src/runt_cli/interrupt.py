"""`runt interrupt`: interrupt what a notebook runs."""

from __future__ import annotations

import click

__all__ = ["interrupt"]


@click.command
@click.argument("notebook", metavar="NOTEBOOK")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def interrupt(notebook: str, as_json: bool) -> None:
    """Interrupt what a notebook runs.

    Cells that wait behind it are dropped; the kernel and what it knows stay. NOTEBOOK is a path,
    the name of a file that is open, an id as `runt notebooks` or `runt ps` shows it, or the first
    characters of one.

    Exit code: 0 also when nothing was running, 1 without a kernel.

    \b
    Examples:
      runt interrupt analysis.ipynb
      runt interrupt 0b2f6d1e --json
    """
    from runt_cli.failure import Fail
    from runt_cli.stopping import interrupt_notebook
    from runt_cli.terminal import say, show_json, tilde

    result = interrupt_notebook(notebook)
    if as_json:
        show_json(result)
    shown = tilde(result["notebook_id"])
    if not result["has_kernel"]:
        raise Fail(f"No kernel running: {shown}")
    if as_json:
        return
    done = "Interrupted" if result["running"] else "Nothing was running"
    dropped = result["dropped"]
    behind = f" ({dropped} waiting cell{'' if dropped == 1 else 's'} dropped)" if dropped else ""
    say(f"{done}: {shown}{behind}")
