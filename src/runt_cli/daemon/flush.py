"""`runt daemon flush`: throw the pooled environments away."""

from __future__ import annotations

import click

__all__ = ["flush"]


@click.command(short_help="Throw the pooled environments away and build new ones.")
def flush() -> None:
    """Throw the pooled environments away; the daemon builds them anew.

    \b
    Example:
      runt daemon flush && runt daemon status
    """
    from runt_cli.asking import IS_IT_RUNNING
    from runt_cli.failure import fail
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import RuntimedError

    try:
        client = DaemonClient()
        client.check()  # what hangs is told from what has much to remove
        client.flush_pool()
    except RuntimedError as error:
        raise fail("Failed to flush pool", error, IS_IT_RUNNING) from error
    click.echo("Pool flushed — environments will be rebuilt")
