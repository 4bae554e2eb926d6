"""The service, if the daemon was installed as one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from runtimed.client.daemon_client import DaemonClient
from runtimed.doctor.finding import Finding, Repair, ok
from runtimed.doctor.site import Site
from runtimed.errors import ServiceFailed
from runtimed.service.installation import Service, installed_service, user_service
from runtimed.service.program import default_program

__all__ = ["installed_program", "service", "service_file"]

#: Seconds for a service to come up once it was started.
_START_LIMIT = 20.0


def service_file(site: Site) -> Path:
    """Where the unit or the property list lies, whether or not there is one."""
    return user_service(site.paths, site.environ).file


def installed_program(site: Site) -> Path | None:
    """The daemon's program: the service's, else that of this environment."""
    installed = installed_service(site.paths, site.environ)
    return default_program() if installed is None else installed.program()


def service(site: Site) -> Iterator[Finding]:
    """A service that starts nothing, or that does not run."""
    installed = installed_service(site.paths, site.environ)
    if installed is None:
        return
    program = installed.program()
    if program is None:
        yield Finding(
            name="service",
            status="note",
            path=installed.file,
            what="The service file was written by somebody else; what it starts is not known",
        )
    elif not program.is_file():
        yield _starts_nothing(installed, program)
        return
    else:
        yield ok("service", f"The service starts {program}", installed.file)
    if not site.daemon.alive and installed.is_reachable():
        yield Finding(
            name="service",
            status="warning",
            path=installed.file,
            what="The service is installed, and no daemon runs",
            why=f"It was stopped, or given up after it failed: {installed.remedy}",
            remedy="'runt daemon start' starts it",
            repair=_starting(installed),
        )


def _starts_nothing(installed: Service, program: Path) -> Finding:
    ours = default_program()

    def write() -> str:
        installed.write(ours)
        return f"Wrote the service file anew, for {ours}"

    return Finding(
        name="service",
        status="error",
        path=installed.file,
        what=f"The service starts {program}, which does not exist",
        why="The environment was removed or moved after the service was installed",
        remedy="'runt daemon install' writes it anew, 'runt daemon uninstall' removes it",
        repair=write if ours.is_file() else None,
    )


def _starting(installed: Service) -> Repair:
    def start() -> str:
        installed.start()
        give_up = time.monotonic() + _START_LIMIT
        while not DaemonClient(installed.paths.socket).ping():
            if time.monotonic() > give_up:
                raise ServiceFailed(f"the daemon does not answer; see {installed.paths.log}")
            time.sleep(0.05)
        return "Started daemon service"

    return start
