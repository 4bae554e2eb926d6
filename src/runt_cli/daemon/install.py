"""`runt daemon install`: the daemon as a service, started at login."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["install"]


@click.command(short_help="Install the daemon as a service of this user.")
@click.option(
    "--binary",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The daemon to run.  [default: the `runtimed` of this environment]",
)
@click.option("--now", is_flag=True, help="Start the service, too.")
def install(binary: Path | None, now: bool) -> None:
    """Install the daemon as a service of this user, started at login and after a crash.

    Installing an installed service upgrades it: the service file is written anew, and a running
    service is restarted when the file or its version has changed. The service runs the `runtimed`
    script of this environment, so the environment has to stay where it is.

    \b
    Examples:
      runt daemon install
      runt daemon install --now
      runt daemon install --binary ~/.local/bin/runtimed
    """
    from runt_cli.daemon.installing import install_service
    from runtimed.paths import default_paths

    install_service(default_paths(), binary, now=now)
