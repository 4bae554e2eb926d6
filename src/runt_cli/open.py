"""`runt open`, also `runt notebook`: a notebook in the viewer that is configured."""

from __future__ import annotations

import click

__all__ = ["open_"]


@click.command("open")
@click.argument("notebook", metavar="[PATH]", required=False)
@click.option(
    "-r",
    "--runtime",
    type=click.Choice(["python", "deno"]),
    help="What a new notebook is for.  [default: as your settings say]",
)
def open_(notebook: str | None, runtime: str | None) -> None:
    """Open a notebook in its viewer.

    Without PATH, the viewer alone is opened.
    The viewer is a command line: that of RUNT_VIEWER, else "viewer" of your settings.json, else the
    desktop app where it is installed. In it {path}, {url} (of the file) and {notebook_id} stand for
    the notebook; without any of them the path is added. It is not given to a shell, and `runt open`
    does not wait for it.

    A notebook that does not exist is made by the daemon. Also known as `runt notebook`.

    \b
    Examples:
      runt open analysis.ipynb
      runt open --runtime deno new.ipynb
      RUNT_VIEWER='jupyter lab {path}' runt open analysis
    """
    from runt_cli.opening import open_notebook

    open_notebook(notebook, runtime)
