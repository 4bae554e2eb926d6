"""`runt` in this process: for commands that need no daemon, whose whole output is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtimed.paths import Paths, default_paths

__all__ = ["Runt"]

_FOREIGN = ("RUNTIMED_", "CONDUCTOR_", "XDG_", "RUNT_", "JUPYTER_")


class Runt:
    """Runs `runt` with a home folder of its own: `runt("logs", "-n", "3")`."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        self.home = home
        for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "c"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
        monkeypatch.chdir(home)

    @property
    def paths(self) -> Paths:
        return default_paths()

    def __call__(self, *arguments: str) -> Result:
        from runt_cli.root import runt

        return CliRunner().invoke(runt, arguments, prog_name="runt")
