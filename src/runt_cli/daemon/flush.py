"""`runt daemon flush`: throw the pooled environments away."""

from __future__ import annotations

import click

__all__ = ["flush"]


@click.command(short_help="Throw the pooled environments away and build new ones.")
def flush() -> None:
    """Throw the pooled environments away; the daemon builds them anew.

    Returns when the old ones are deleted, or after ten seconds, while the daemon goes on with that.
    Nobody gets one of them any more in any case.

    \b
    Example:
      runt daemon flush && runt daemon status
    """
    import sys

    from runt_cli.asking import IS_IT_RUNNING
    from runt_cli.failure import fail
    from runt_cli.terminal import is_terminal
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import RuntimedError

    try:
        client = DaemonClient()
        client.check()  # what hangs is told from what has much to remove
        if is_terminal(sys.stderr):
            click.echo("Waiting for the daemon to delete the pooled environments...", err=True)
        client.flush_pool()
    except RuntimedError as error:
        raise fail("Failed to flush pool", error, IS_IT_RUNNING) from error
    click.echo("Pool flushed — environments will be rebuilt")
