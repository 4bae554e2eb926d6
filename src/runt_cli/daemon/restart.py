"""`runt daemon restart`: a new daemon in place of the running one."""

from __future__ import annotations

import click

__all__ = ["restart"]


@click.command
def restart() -> None:
    """Stop the daemon, if one runs, and start a new one.

    Kernels end with the old daemon; documents are kept.

    \b
    Example:
      runt daemon restart
    """
    from runt_cli.daemon.process import start_daemon, stop_daemon
    from runtimed.paths import default_paths

    paths = default_paths()
    if stop_daemon(paths) is not None:
        click.echo("Daemon stopped.")
    click.echo(f"Daemon started (pid {start_daemon(paths)}).")
