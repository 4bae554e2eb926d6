"""`runt daemon restart`: a new daemon in place of the running one."""

from __future__ import annotations

import click

__all__ = ["restart"]


@click.command
def restart() -> None:
    """Stop the daemon, if one runs, and start a new one.

    Kernels end with the old daemon; documents are kept. Where the service is installed it is the
    service that runs afterwards, even if the daemon had been started by hand.

    \b
    Example:
      runt daemon restart
    """
    from runt_cli.daemon import control
    from runtimed.paths import default_paths

    control.restart(default_paths())
