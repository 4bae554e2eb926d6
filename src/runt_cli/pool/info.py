"""`runt pool info`: what the daemon's info file says."""

from __future__ import annotations

import sys

import click

__all__ = ["info"]


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """Show what the daemon's info file says, and whether the daemon answers.

    Exits with 1 if it does not.

    \b
    Example:
      runt pool info --json
    """
    from runt_cli.asking import daemon_client
    from runt_cli.daemon.process import daemon_info
    from runt_cli.failure import FAILED, Fail
    from runtimed.errors import RuntimedError
    from runtimed.paths import default_paths

    found = daemon_info(default_paths())
    if found is None:
        raise Fail("Daemon not running (no daemon.json found)")
    try:
        daemon_client().check()
        alive = True
    except RuntimedError:
        alive = False
    report = {**found, "alive": alive}
    if as_json:
        from runt_cli.terminal import show_json

        show_json(report)
    else:
        for key, value in report.items():
            click.echo(f"{key}: {value}")
    if not alive:
        sys.exit(FAILED)
