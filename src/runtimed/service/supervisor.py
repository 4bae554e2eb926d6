"""What is asked of a service manager, whichever it is, and how their programs are run. Blocks."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs

from runtimed.errors import NoServiceManager, ServiceFailed
from runtimed.service.definition import ServiceDefinition

__all__ = ["ServiceState", "Supervisor", "ask"]


@attrs.frozen
class ServiceState:
    """`active`: it runs, or is about to; `failed`: given up; `pid`: its main process, if any."""

    active: bool
    failed: bool = False
    pid: int | None = None


class Supervisor(Protocol):
    """A service manager, as far as one service goes.

    Each method may raise ServiceFailed, and NoServiceManager where nobody is there to be asked.
    """

    @property
    def name(self) -> str:
        """The service's name there, for messages."""

    @property
    def file(self) -> Path:
        """Where the definition lies."""

    @property
    def remedy(self) -> str:
        """The command that shows a person why the service does not run."""

    def render(self, definition: ServiceDefinition) -> bytes: ...

    def serves(self, content: bytes, base: Path) -> bool: ...

    def base_of(self, content: bytes) -> Path | None:
        """The folder of the daemon that a definition is for; None when it does not say."""

    def program_of(self, content: bytes) -> Path | None: ...

    def check_reachable(self) -> None: ...

    def register(self) -> None:
        """Read the definition, and start the service at each login; not now."""

    def unregister(self) -> None:
        """Forget the definition; called while the file is still there."""

    def forgotten(self) -> None:
        """Called when the file is gone."""

    def state(self) -> ServiceState: ...

    def start(self) -> None:
        """Start the service; returns before it is ready."""

    def stop(self) -> None:
        """Stop the service; returns when its process has gone."""


def ask(
    *command: str, environ: Mapping[str, str], timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a service manager's program to its end, whatever its exit code.

    Raises: NoServiceManager without such a program; ServiceFailed when it does not end.
    Units: timeout in seconds.
    """
    try:
        return subprocess.run(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except FileNotFoundError:
        raise NoServiceManager(f"there is no program '{command[0]}'") from None
    except OSError as error:
        raise NoServiceManager(f"'{command[0]}' can't be run: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        line = " ".join(command)
        raise ServiceFailed(f"'{line}' has not ended within {timeout:.0f} seconds") from None
