"""`runt daemon uninstall`: the service stopped and removed."""

from __future__ import annotations

import click

__all__ = ["uninstall"]


@click.command
def uninstall() -> None:
    """Stop the service and remove it. Notebooks, settings and environments stay.

    \b
    Example:
      runt daemon uninstall
    """
    from runt_cli.daemon.installing import uninstall_service
    from runtimed.paths import default_paths

    uninstall_service(default_paths())
