"""`runt daemon start`: a daemon in the background."""

from __future__ import annotations

import click

__all__ = ["start"]


@click.command
def start() -> None:
    """Start the daemon in the background, and wait until it answers.

    Programs start it by themselves when they need it; this is for starting it early.

    \b
    Example:
      runt daemon start && runt daemon status
    """
    from runt_cli.daemon.process import daemon_info, start_daemon
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.paths import default_paths

    paths = default_paths()
    if DaemonClient().ping():
        info = daemon_info(paths) or {}
        click.echo(f"Daemon already running (pid {info.get('pid', 'unknown')}).")
        return
    click.echo(f"Daemon started (pid {start_daemon(paths)}).")
