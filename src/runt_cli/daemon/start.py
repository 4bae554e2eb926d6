"""`runt daemon start`: a daemon in the background."""

from __future__ import annotations

import click

__all__ = ["start"]


@click.command(short_help="Start the daemon in the background.")
def start() -> None:
    """Start the daemon in the background, and wait until it answers.

    The installed service is started where there is one and a service manager runs, else a process
    of its own. Programs start the daemon by themselves when they need it; this is for starting it
    early.

    \b
    Example:
      runt daemon start && runt daemon status
    """
    from runt_cli.daemon import control
    from runtimed.paths import default_paths

    control.start(default_paths())
