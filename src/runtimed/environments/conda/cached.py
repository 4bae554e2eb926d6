"""Conda environments for the cache: what tells them apart, and how they are made."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.conda.build import BASE_SPECS, build_conda
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.conda.solving import Limits
from runtimed.environments.environment import Kind
from runtimed.environments.fingerprint import fingerprint
from runtimed.environments.index_settings import index_settings
from runtimed.environments.platforms import conda_platform
from runtimed.environments.wanted import CondaPackages
from runtimed.environments.warm_up import compile_further

__all__ = ["CondaPackagesMaker"]

_LAYOUT = "1"  # part of the fingerprint: raise it when environments are built differently


class CondaPackagesMaker:
    """Makes environments for CondaPackages. channels: asked at each build."""

    kind: Kind = "conda"

    def __init__(self, *, channels: Callable[[], ChannelMap], limits: Limits | None = None) -> None:
        self._channels = channels
        self._limits = limits or Limits()

    async def fingerprint(self, wanted: CondaPackages) -> str:
        solver = await trio.to_thread.run_sync(importlib.metadata.version, "py-rattler")
        urls = [channel.url for channel in self._channels().resolve(wanted.channels)]
        indexes = []
        if wanted.pip or wanted.editable:  # what uv installs
            indexes = await trio.to_thread.run_sync(index_settings)
        return fingerprint(
            wanted,
            platform=conda_platform(sys.platform, platform.machine()),
            built_by=[_LAYOUT, solver, *BASE_SPECS, *urls, *indexes],
        )

    def base(self, wanted: CondaPackages) -> CondaPackages | None:
        return None

    async def build(self, path: Path, wanted: CondaPackages, report: Report) -> None:
        await build_conda(path, wanted, report, channels=self._channels(), limits=self._limits)

    async def extend(self, path: Path, wanted: CondaPackages, report: Report) -> bool:
        return False

    async def finish(self, path: Path) -> None:
        await compile_further(path, everything=False)
