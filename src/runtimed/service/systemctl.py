"""The user's systemd, asked through `systemctl --user`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import attrs

from runtimed.errors import NoServiceManager, ServiceFailed
from runtimed.service import systemd_unit
from runtimed.service.definition import STOP_LIMIT, ServiceDefinition
from runtimed.service.supervisor import ServiceState, ask

__all__ = ["UNIT", "Systemctl"]

UNIT = "runtimed.service"


@attrs.frozen
class Systemctl:
    """One user's unit."""

    file: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    name: str = "runtimed"
    remedy: str = f"systemctl --user status {UNIT}"

    def render(self, definition: ServiceDefinition) -> bytes:
        return systemd_unit.systemd_unit(definition).encode()

    def serves(self, content: bytes, base: Path) -> bool:
        return systemd_unit.serves(content.decode(errors="replace"), base)

    def base_of(self, content: bytes) -> Path | None:
        return systemd_unit.base_of(content.decode(errors="replace"))

    def program_of(self, content: bytes) -> Path | None:
        return systemd_unit.program_of(content.decode(errors="replace"))

    def check_reachable(self) -> None:
        done = self._ask("show", "--property=Version")
        if done.returncode != 0:
            raise NoServiceManager(f"systemctl --user: {_complaint(done)}")

    def register(self) -> None:
        self._do("daemon-reload")
        # By its path: the manager may not search the folder that XDG_CONFIG_HOME names here.
        self._do("enable", str(self.file))

    def unregister(self) -> None:
        self._do("disable", UNIT)

    def forgotten(self) -> None:
        self._do("daemon-reload")
        self._ask("reset-failed", UNIT)

    def state(self) -> ServiceState:
        done = self._ask("show", UNIT, "--property=ActiveState,MainPID")
        if done.returncode != 0:
            raise NoServiceManager(f"systemctl --user: {_complaint(done)}")
        said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
        pid = said.get("MainPID", "0")
        # "activating" is also the pause before a restart.
        return ServiceState(
            active=said.get("ActiveState") in ("active", "activating", "reloading", "deactivating"),
            failed=said.get("ActiveState") == "failed",
            pid=int(pid) if pid.isdigit() and pid != "0" else None,
        )

    def start(self) -> None:
        done = self._ask("start", UNIT)
        if done.returncode != 0:
            # One that was given up is not started again before that is forgotten.
            self._ask("reset-failed", UNIT)
            self._do("start", UNIT)

    def stop(self) -> None:
        done = self._ask("stop", UNIT, timeout=STOP_LIMIT + 10.0)
        if done.returncode != 0 and "not loaded" not in done.stderr:
            raise ServiceFailed(f"systemctl --user stop {UNIT}: {_complaint(done)}")

    def _do(self, *arguments: str) -> None:
        done = self._ask(*arguments)
        if done.returncode != 0:
            raise ServiceFailed(f"systemctl --user {' '.join(arguments)}: {_complaint(done)}")

    def _ask(self, *arguments: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        return ask(
            "systemctl", "--user", *arguments, environ=_with_bus(self.environ), timeout=timeout
        )


def _with_bus(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, and where the user's manager listens: cron and su leave that out."""
    environ = dict(environ) | {"LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
    if not environ.get("XDG_RUNTIME_DIR"):
        folder = Path(f"/run/user/{os.getuid()}")
        if (folder / "systemd" / "private").exists():
            environ["XDG_RUNTIME_DIR"] = str(folder)
    return environ


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What systemctl said, as one line."""
    return " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
