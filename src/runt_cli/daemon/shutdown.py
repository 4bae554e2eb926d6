"""`runt daemon shutdown`: end the daemon, whoever started it."""

from __future__ import annotations

import click

__all__ = ["shutdown"]


@click.command(short_help="End the daemon, whoever started it.")
def shutdown() -> None:
    """Ask the daemon to end, and wait until its process has gone.

    This asks the daemon itself, and gives up on one that hangs; 'runt daemon stop' tells a service
    manager to stop the service, where it is one, and ends one that hangs.

    \b
    Example:
      runt daemon shutdown
    """
    from runt_cli.daemon.process import not_running, stop_daemon
    from runt_cli.failure import fail
    from runtimed.client.daemon_client import DaemonClient
    from runtimed.errors import DaemonSilent, RuntimedError
    from runtimed.paths import default_paths

    paths = default_paths()
    try:
        DaemonClient().check()
    except DaemonSilent as error:  # whoever asks would wait with it
        raise fail("Failed to shutdown daemon", error) from error
    except RuntimedError:
        pass
    if stop_daemon(paths) is None:
        raise not_running()
    click.echo("Shutdown request sent")
    click.echo("Daemon stopped.")
