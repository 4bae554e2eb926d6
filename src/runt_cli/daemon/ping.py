"""`runt daemon ping`: whether the daemon answers."""

from __future__ import annotations

import click

__all__ = ["ping"]


@click.command
def ping() -> None:
    """Check that the daemon answers; the exit code tells.

    \b
    Example:
      runt daemon ping || runt daemon start
    """
    from runt_cli.failure import fail
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import RuntimedError

    try:
        DaemonClient().status()
    except RuntimedError as error:
        raise fail("Daemon not running", error) from error
    click.echo("pong")
