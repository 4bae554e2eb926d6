"""The user's service, wherever one can be installed: install, start, stop, remove.

There is one service a user, for the ordinary daemon: that of a workspace, or at a socket that was
named, is started by whoever works with it. Blocks, and never longer than a service manager takes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from runtimed.errors import NoServiceManager, ServiceFailed
from runtimed.paths import Paths, config_root, home_folder, user_base
from runtimed.replacing import replace_file
from runtimed.service.supervisor import ServiceState, Supervisor

if TYPE_CHECKING:
    from runtimed.service.definition import ServiceDefinition

__all__ = ["Service", "installed_service", "service_of", "user_service"]


@attrs.frozen
class Service:
    """One user's service. What it does to an installed one can be done again to no harm."""

    supervisor: Supervisor
    paths: Paths
    environ: Mapping[str, str] = attrs.field(repr=False)

    @property
    def name(self) -> str:
        return self.supervisor.name

    @property
    def file(self) -> Path:
        """The unit or property list."""
        return self.supervisor.file

    @property
    def remedy(self) -> str:
        """The command that shows a person why the service does not run."""
        return self.supervisor.remedy

    def is_installed(self) -> bool:
        """Whether there is a definition, for this daemon's folder. Reads one file at most."""
        content = self._content()
        return content is not None and self.supervisor.serves(content, self.paths.base)

    def program(self) -> Path | None:
        """The program that the installed service runs."""
        content = self._content()
        return None if content is None else self.supervisor.program_of(content)

    def check_ours(self) -> None:
        """Raises: ServiceFailed if what is installed is for the daemon of another folder."""
        content = self._content()
        if content is None or self.supervisor.serves(content, self.paths.base):
            return
        base = self.supervisor.base_of(content)
        raise ServiceFailed(
            f"The service that is installed ({self.file}) is for the daemon of {base}, and this "
            f"environment means that of {self.paths.base}. Set XDG_CACHE_HOME as it was at install"
        )

    def check_reachable(self) -> None:
        """Raises: NoServiceManager, saying what is missing."""
        self.supervisor.check_reachable()

    def is_reachable(self) -> bool:
        """Whether a service manager answers."""
        try:
            self.supervisor.check_reachable()
        except (NoServiceManager, ServiceFailed):
            return False
        return True

    def define(self, program: Path) -> ServiceDefinition:
        """What the service is to be, for a program."""
        from runtimed.service.definition import define

        home = home_folder(self.environ)
        return define(program, self.paths.base, self.paths.log, home, self.environ)

    def write(self, program: Path) -> bool:
        """Write the definition for a program and have it read; False if it said that already.

        Raises: NoServiceManager before anything is written; ServiceFailed.
        """
        self.check_ours()
        self.supervisor.check_reachable()
        content = self.supervisor.render(self.define(program))
        changed = content != self._content()
        try:
            # Managers open the log themselves, before there is a daemon that would make its folder.
            self.paths.base.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            # Managers read their own user's files; what is in it is nobody else's business.
            with contextlib.suppress(FileNotFoundError):
                self.file.chmod(0o600)
            if changed:
                replace_file(self.file, content)
        except OSError as error:
            place = error.filename or self.file
            raise ServiceFailed(
                f"The service can't be installed: {error.strerror or error} ({place})"
            ) from error
        self.supervisor.register()
        return changed

    def remove(self) -> None:
        """Stop the service and remove its definition, also where no manager runs any more.

        Raises: ServiceFailed.
        """
        self.check_ours()
        reachable = self.is_reachable()
        if reachable:
            self.supervisor.stop()
            self.supervisor.unregister()
        try:
            # What makes systemd start it at login, where systemctl could not take that away.
            for link in self.file.parent.glob(f"*.wants/{self.file.name}"):
                link.unlink(missing_ok=True)
            self.file.unlink(missing_ok=True)
        except OSError as error:
            raise ServiceFailed(
                f"The service file {self.file} can't be removed: {error.strerror or error}"
            ) from error
        if reachable:
            self.supervisor.forgotten()

    def state(self) -> ServiceState:
        """Raises: NoServiceManager, ServiceFailed."""
        return self.supervisor.state()

    def start(self) -> None:
        """Start it; returns before the daemon answers. Raises: NoServiceManager, ServiceFailed."""
        self.supervisor.start()

    def stop(self) -> None:
        """Stop it; returns when its process has gone. Raises: NoServiceManager, ServiceFailed."""
        self.supervisor.stop()

    def _content(self) -> bytes | None:
        with contextlib.suppress(OSError):
            return self.file.read_bytes()
        return None


def user_service(paths: Paths, environ: Mapping[str, str] = os.environ) -> Service:
    """This user's service, installed or not. Asks nobody and imports little."""
    if sys.platform == "darwin":
        from runtimed.service.launchctl import LABEL, Launchctl

        agents = home_folder(environ) / "Library/LaunchAgents"
        return Service(Launchctl(agents / f"{LABEL}.plist", environ), paths, environ)
    from runtimed.service.systemctl import UNIT, Systemctl

    file = config_root(environ) / "systemd/user" / UNIT
    return Service(Systemctl(file, environ), paths, environ)


def service_of(paths: Paths, environ: Mapping[str, str] = os.environ) -> Service | None:
    """The service for these paths; None where they are of a daemon that is no service's business:
    a workspace's, or one at a socket that was named."""
    if paths.explicit or paths.workspace is not None or paths.base != user_base(environ):
        return None
    return user_service(paths, environ)


def installed_service(paths: Paths, environ: Mapping[str, str] = os.environ) -> Service | None:
    """The service for these paths if it is installed. Costs one look at a file if it is not."""
    service = service_of(paths, environ)
    return service if service is not None and service.is_installed() else None
