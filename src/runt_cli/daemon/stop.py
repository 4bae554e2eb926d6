"""`runt daemon stop`: end the daemon."""

from __future__ import annotations

import click

__all__ = ["stop"]


@click.command
def stop() -> None:
    """Stop the daemon and all its kernels; returns when they are gone.

    \b
    Example:
      runt daemon stop
    """
    from runt_cli.daemon.process import not_running, stop_daemon
    from runtimed.paths import default_paths

    pid = stop_daemon(default_paths())
    if pid is None:
        raise not_running()
    click.echo("Daemon stopped.")
