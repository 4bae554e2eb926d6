"""The user's launchd, asked through `launchctl` and its commands for domains (macOS 10.11 on)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

from runtimed.errors import NoServiceManager, ServiceFailed
from runtimed.service import launchd_plist
from runtimed.service.definition import STOP_LIMIT, ServiceDefinition
from runtimed.service.launchd_plist import LABEL
from runtimed.service.supervisor import ServiceState, ask

__all__ = ["Launchctl"]


def _domain() -> str:
    return f"gui/{os.getuid()}"


@attrs.frozen
class Launchctl:
    """One user's agent. Loaded means started, as the property list says; stopped means unloaded."""

    file: Path
    environ: Mapping[str, str] = attrs.field(repr=False)
    name: str = "runtimed"
    domain: str = attrs.field(factory=_domain)

    @property
    def remedy(self) -> str:
        return f"launchctl print {self._target}"

    @property
    def _target(self) -> str:
        return f"{self.domain}/{LABEL}"

    def render(self, definition: ServiceDefinition) -> bytes:
        return launchd_plist.launchd_plist(definition)

    def serves(self, content: bytes, base: Path) -> bool:
        return launchd_plist.serves(content, base)

    def base_of(self, content: bytes) -> Path | None:
        return launchd_plist.base_of(content)

    def program_of(self, content: bytes) -> Path | None:
        return launchd_plist.program_of(content)

    def check_reachable(self) -> None:
        done = self._ask("print", self.domain)
        if done.returncode != 0:
            raise NoServiceManager(f"launchctl: {_complaint(done)}")

    def register(self) -> None:
        # At login launchd loads what lies in its folder, unless it was disabled once.
        self._do("enable", self._target)

    def unregister(self) -> None:
        self.stop()

    def forgotten(self) -> None:
        """launchd keeps nothing of an agent that is unloaded and whose file is gone."""

    def state(self) -> ServiceState:
        done = self._ask("print", self._target)
        if done.returncode != 0:
            self.check_reachable()
            return ServiceState(active=False)
        pid = re.search(r"^\s*pid = (\d+)$", done.stdout, re.MULTILINE)
        code = re.search(r"^\s*last exit code = (\d+)", done.stdout, re.MULTILINE)
        return ServiceState(
            active=pid is not None,
            failed=pid is None and code is not None and code[1] != "0",
            pid=int(pid[1]) if pid else None,
        )

    def start(self) -> None:
        if self._is_loaded():
            self._do("kickstart", self._target)
        else:
            self._do("enable", self._target)
            self._do("bootstrap", self.domain, str(self.file))

    def stop(self) -> None:
        if not self._is_loaded():
            return
        done = self._ask("bootout", self._target, timeout=STOP_LIMIT + 10.0)
        # It may return while the process is still ending, with an error that says just that.
        give_up = time.monotonic() + STOP_LIMIT + 5.0
        while self._is_loaded():
            if time.monotonic() > give_up:
                raise ServiceFailed(f"launchctl bootout {self._target}: {_complaint(done)}")
            time.sleep(0.05)

    def _is_loaded(self) -> bool:
        return self._ask("print", self._target).returncode == 0

    def _do(self, *arguments: str) -> None:
        done = self._ask(*arguments)
        if done.returncode != 0:
            raise ServiceFailed(f"launchctl {' '.join(arguments)}: {_complaint(done)}")

    def _ask(self, *arguments: str, timeout: float = 30.0) -> subprocess.CompletedProcess[str]:
        return ask("launchctl", *arguments, environ=self.environ, timeout=timeout)


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """What launchctl said, as one line."""
    return " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
