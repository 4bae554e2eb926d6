"""`runt stop`, also `runt shutdown`: end the kernels of notebooks and close the notebooks."""

from __future__ import annotations

import click

__all__ = ["stop"]


@click.command
@click.argument("notebooks", nargs=-1, metavar="NOTEBOOK...")
@click.option("-a", "--all", "every", is_flag=True, help="Stop every open notebook.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stop(notebooks: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Stop notebooks and their kernels.

    The kernels end, and the daemon closes the notebooks.
    NOTEBOOK is a path, the name of a file that is open, an id as `runt notebooks` or `runt ps`
    shows it, or the first characters of one. What was edited is kept, whether saved or not. --all
    is no error when nothing is open. Also known as `runt shutdown`.

    \b
    Examples:
      runt stop analysis.ipynb
      runt stop 0b2f6d1e
      runt stop --all
    """
    from runt_cli.failure import FAILED
    from runt_cli.stopping import stop_notebooks
    from runt_cli.terminal import say, show_json, tilde

    if every == bool(notebooks):
        raise click.UsageError("Name the notebooks to stop, or pass --all.")
    results = stop_notebooks(notebooks)
    if as_json:
        show_json(results)
    elif not results:
        click.echo("No open notebooks.")
    for result in results:
        if not result["stopped"]:
            say(result["error"], err=True)
        elif not as_json:
            say(f"Shutdown notebook: {tilde(result['notebook_id'])}")
    if not all(result["stopped"] for result in results):
        raise click.exceptions.Exit(FAILED)
