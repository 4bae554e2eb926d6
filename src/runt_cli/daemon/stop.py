"""`runt daemon stop`: end the daemon."""

from __future__ import annotations

import click

__all__ = ["stop"]


@click.command(short_help="Stop the daemon and all its kernels.")
def stop() -> None:
    """Stop the daemon and all its kernels; returns when they are gone.

    A service is stopped by its service manager, and a daemon that hangs is ended, killed if need
    be; 'runt daemon shutdown' only asks the daemon itself.

    An installed service stays installed, and starts again at the next login or when a program needs
    it. In development mode this is the workspace's daemon and no other.

    \b
    Example:
      runt daemon stop
    """
    from runt_cli.daemon import control
    from runtimed.paths import default_paths

    control.stop(default_paths())
