"""`runt daemon run`: the daemon in the foreground."""

from __future__ import annotations

import click

__all__ = ["run"]


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    options_metavar="[OPTIONS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(arguments: tuple[str, ...]) -> None:
    """Run the daemon in the foreground.

    Takes the options of `runtimed run`; `runt daemon run --help` lists them.
    """
    import os
    import sys

    # This process becomes the daemon: signals and the process id are then the daemon's own.
    os.execv(sys.executable, [sys.executable, "-m", "runtimed", "run", *arguments])
