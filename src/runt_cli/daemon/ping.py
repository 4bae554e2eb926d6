"""`runt daemon ping`: whether the daemon answers."""

from __future__ import annotations

import click

__all__ = ["ping"]


@click.command(short_help="Check that the daemon answers.")
def ping() -> None:
    """Check that the daemon answers; the exit code tells.

    \b
    Example:
      runt daemon ping || runt daemon start
    """
    from runt_cli.failure import fail
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import DaemonSilent, RuntimedError

    try:
        DaemonClient().check()
    except RuntimedError as error:
        hangs = isinstance(error, DaemonSilent)
        raise fail("Daemon hangs" if hangs else "Daemon not running", error) from error
    click.echo("pong")
