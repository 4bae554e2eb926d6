"""`runt daemon shutdown`: end the daemon, whoever started it."""

from __future__ import annotations

import click

__all__ = ["shutdown"]


@click.command
def shutdown() -> None:
    """Ask the daemon to end, and wait until its process has gone.

    \b
    Example:
      runt daemon shutdown
    """
    from runt_cli.daemon.process import stop_daemon
    from runt_cli.failure import DAEMON_NOT_RUNNING, Fail
    from runtimed.paths import default_paths

    paths = default_paths()
    if stop_daemon(paths) is None:
        raise Fail(
            f"Failed to shutdown daemon: no daemon answers at {paths.socket}", DAEMON_NOT_RUNNING
        )
    click.echo("Shutdown request sent")
    click.echo("Daemon stopped.")
