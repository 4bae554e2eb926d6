"""`runt inspect`: a notebook's cells and outputs, as the daemon has them."""

from __future__ import annotations

import click

__all__ = ["inspect"]


@click.command
@click.argument("notebook", metavar="NOTEBOOK")
@click.option("--full-outputs", is_flag=True, help="Print outputs in full; in JSON also sources.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(notebook: str, full_outputs: bool, as_json: bool) -> None:
    """Show a notebook's cells and outputs.

    They are shown as the daemon has them; those of a notebook that is not open, as it was when it
    was closed. NOTEBOOK is a path, the name of a file that is open, an id as `runt notebooks` or
    `runt ps` shows it, or the first characters of one. Outputs are named by type and size;
    --full-outputs prints them.

    \b
    Examples:
      runt inspect analysis.ipynb
      runt inspect 0b2f6d1e --full-outputs
      runt inspect analysis.ipynb --json
    """
    from runt_cli.inspection import inspected, show_inspection
    from runt_cli.terminal import show_json

    found = inspected(notebook, full_outputs=full_outputs)
    if as_json:
        show_json(found)
    else:
        show_inspection(found)
