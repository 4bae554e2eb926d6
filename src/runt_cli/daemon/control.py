"""Starting and ending the daemon, as a service where it is installed as one, else as a process.

Says what it does on stdout as it does it, and on stderr what a person might not expect.
"""

from __future__ import annotations

import click

from runt_cli.daemon.process import (
    daemon_pid,
    is_alive,
    not_running,
    start_daemon,
    stop_daemon,
    wait_ready,
)
from runt_cli.failure import Fail
from runtimed.client.connect import connect_nowait, start_service
from runtimed.client.daemon_client import DaemonClient
from runtimed.errors import NoServiceManager, ServiceFailed
from runtimed.paths import Paths
from runtimed.service.installation import Service, installed_service, service_of
from runtimed.service.supervisor import ServiceState

__all__ = ["restart", "running_by_hand", "start", "start_and_wait", "stop", "the_service"]


def the_service(paths: Paths, action: str) -> Service:
    """The service, to be installed or removed.

    Raises: Fail where the variables name another daemon than the service's.
    """
    service = service_of(paths)
    if service is not None:
        return service
    if paths.workspace is not None:
        raise Fail(
            f"Cannot {action} the service in development mode: it is for your ordinary daemon, and "
            f"this environment names that of {paths.workspace}. Unset RUNTIMED_DEV and "
            "RUNTIMED_WORKSPACE_PATH, or use 'runt daemon start' for the workspace's"
        )
    raise Fail(
        f"Cannot {action} the service: it is for your ordinary daemon, and RUNTIMED_SOCKET_PATH "
        f"names another, {paths.socket}. Unset it first"
    )


def start(paths: Paths) -> None:
    """Start the daemon unless it runs. Raises: Fail, DaemonUnreachable."""
    service = installed_service(paths)
    if DaemonClient(paths.socket).ping():
        click.echo(f"Daemon already running (pid {daemon_pid(paths) or 'unknown'}).")
        if service is not None and running_by_hand(_state(service), paths):
            _note(
                "It was started by hand, not by the installed service; "
                "'runt daemon restart' puts the service in its place."
            )
        return
    _see_no_stranger(paths)
    if _takes_connections(paths):
        raise Fail(
            f"The daemon (pid {daemon_pid(paths) or 'unknown'}) runs and does not answer. "
            "'runt daemon restart' ends it and starts another"
        )
    if service is None:
        _start_detached(paths)
        if service_of(paths) is not None:
            _note("No service is installed, so it runs detached. 'runt daemon install' adds one.")
        return
    click.echo(f"Starting {service.name} service...")
    if _start_or_detach(service, paths):
        click.echo("Service started.")


def stop(paths: Paths) -> None:
    """Stop the daemon, whoever started it. Raises: Fail."""
    service = installed_service(paths)
    state = None if service is None else _state(service)
    if service is not None and state is not None and state.active:
        click.echo(f"Stopping {service.name} service...")
        service.stop()
        stop_daemon(paths)  # one by hand, in whose favour the service had given way
        click.echo("Service stopped.")
        return
    if stop_daemon(paths) is None:
        raise not_running()
    click.echo("Daemon stopped.")
    if service is not None:
        _note("It had been started by hand; the service is still installed.")


def restart(paths: Paths) -> None:
    """A new daemon in place of the running one, if any. Raises: Fail, DaemonUnreachable."""
    service = installed_service(paths)
    if service is not None and _state(service) is not None:
        click.echo(f"Restarting {service.name} service...")
        service.stop()
        stop_daemon(paths)
        if _start_or_detach(service, paths):
            click.echo("Service restarted.")
        return
    if stop_daemon(paths) is not None:
        click.echo("Daemon stopped.")
    _start_detached(paths)
    if service is not None:
        _note("The service is installed, but no service manager runs: the daemon runs detached.")


def running_by_hand(state: ServiceState | None, paths: Paths) -> bool:
    """Whether a daemon lives that the service, in this state, has nothing to do with."""
    # The service's own has a process; one that gave way to another, or was stopped, has none.
    return (state is None or state.pid is None) and is_alive(paths)


def _state(service: Service) -> ServiceState | None:
    """What the service manager says; None where none runs."""
    try:
        return service.state()
    except NoServiceManager:
        return None


def start_and_wait(service: Service, paths: Paths) -> None:
    """Start the service; returns when its daemon answers.

    Raises: NoServiceManager, ServiceFailed, Fail.
    """
    start_service(service, paths.own())
    wait_ready(paths.own())


def _start_or_detach(service: Service, paths: Paths) -> bool:
    """Start the service, or a process where that can't be done; whether it is the service."""
    try:
        start_and_wait(service, paths)
    except (NoServiceManager, ServiceFailed) as error:
        _note(f"The service can't be used, so the daemon runs detached: {error}.")
        _start_detached(paths)
        return False
    return True


def _start_detached(paths: Paths) -> None:
    _see_no_stranger(paths)
    click.echo(f"Daemon started (pid {start_daemon(paths)}).")


def _see_no_stranger(paths: Paths) -> None:
    """Raises: Fail where something listens that is no daemon: nothing here could end it."""
    if _takes_connections(paths) and not is_alive(paths) and not DaemonClient(paths.socket).ping():
        raise Fail(
            f"Another program, no daemon of yours, listens at {paths.socket}. End that, or set "
            "RUNTIMED_SOCKET_PATH to another place"
        )


def _takes_connections(paths: Paths) -> bool:
    try:
        connect_nowait(paths).close()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def _note(text: str) -> None:
    click.echo(text, err=True)
