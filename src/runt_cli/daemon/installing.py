"""Installing, upgrading and removing the service, and what is said of it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from runt_cli.daemon import control
from runt_cli.daemon.process import daemon_info, daemon_pid
from runt_cli.failure import Fail
from runtimed.errors import NoServiceManager
from runtimed.paths import Paths
from runtimed.service.installation import Service
from runtimed.service.program import default_program, version_of

__all__ = ["install_service", "uninstall_service"]


def install_service(paths: Paths, binary: Path | None, *, now: bool) -> None:
    """Install the service, or upgrade it. Can be done again to no harm.

    Raises: Fail, ServiceFailed.
    """
    service = control.the_service(paths, "install")
    program = (binary or default_program()).expanduser().absolute()
    if not (program.is_file() and os.access(program, os.X_OK)):
        raise Fail(
            f"Error: Daemon binary not found at: {program}. Install runtimed into an environment "
            "that stays, and run its `runt`; or name a daemon with --binary"
        )
    service.check_ours()
    try:
        service.state()  # so that nothing is announced where nothing can be done
    except NoServiceManager as error:
        raise _no_manager(error) from error
    version = version_of(program)
    was_installed = service.file.exists()
    click.echo(f"Installing {service.name} service...")
    click.echo(f"Source binary: {program}")
    if was_installed:
        click.echo("Service already installed, upgrading...")
    try:
        changed = service.write(program)
    except NoServiceManager as error:
        raise _no_manager(error) from error
    if left_out := service.define(program).left_out:
        click.echo(
            f"Left out of the service, for they may hold credentials: {', '.join(left_out)}. "
            "Keep those in uv.toml or .netrc",
            err=True,
        )
    state = service.state()
    if control.running_by_hand(state, paths):
        click.echo(
            f"A daemon that was started by hand runs (pid {daemon_pid(paths) or 'unknown'}); "
            "'runt daemon restart' puts the service in its place.",
            err=True,
        )
        now = False
    if state.active and (changed or version is None or version != _running_version(paths)):
        service.stop()
        control.start_and_wait(service, paths)
        click.echo("Service upgraded and restarted.")
    elif now and not state.active:
        click.echo("Starting daemon...")
        control.start_and_wait(service, paths)
        click.echo("Service installed and running!")
        _say_more(service)
    elif state.active:
        click.echo("Service is up to date and running.")
    elif was_installed:
        click.echo("Service upgraded. Run 'runt daemon start' to start it.")
    else:
        click.echo("Service installed. Run 'runt daemon start' to start it.")


def uninstall_service(paths: Paths) -> None:
    """Stop and remove the service. Can be done again to no harm. Raises: Fail, ServiceFailed."""
    service = control.the_service(paths, "uninstall")
    if not service.file.exists():
        click.echo("Service not installed.")
        return
    service.check_ours()
    click.echo(f"Uninstalling {service.name} service...")
    service.remove()
    click.echo("Service uninstalled.")


def _no_manager(error: NoServiceManager) -> Fail:
    return Fail(
        f"No service manager runs here ({error}), so nothing was installed. "
        "'runt daemon start' starts a daemon without one"
    )


def _running_version(paths: Paths) -> object:
    return (daemon_info(paths) or {}).get("version")


def _say_more(service: Service) -> None:
    click.echo("It starts at login, and again after a crash.")
    click.echo(f"Service file: {service.file}")
    click.echo("'runt daemon status' shows it, 'runt daemon uninstall' removes it.")
