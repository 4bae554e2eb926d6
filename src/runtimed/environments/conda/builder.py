"""Building environments for the conda pool: what is in a template, and how it is made."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import trio

from runtimed.environments.builder import Report
from runtimed.environments.conda.build import build_conda, specs_of
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.conda.solving import Limits
from runtimed.environments.conda_specs import parse_conda_specs
from runtimed.environments.environment import Kind
from runtimed.environments.templates import TemplateBuilder
from runtimed.environments.wanted import CondaPackages
from runtimed.errors import EnvironmentBuildFailed, RequirementRefused

__all__ = ["CondaBuilder"]

_LAYOUT = 1  # part of the fingerprint: raise it when templates are built differently


class CondaBuilder(TemplateBuilder):
    """Builds environments for a Pool from conda channels, under `root`.

    channels: asked at each build, so that a changed setting holds from the next one on.
    max_age: seconds after which a template is built anew, so that environments follow releases.
    """

    def __init__(
        self,
        root: Path,
        *,
        channels: Callable[[], ChannelMap],
        max_age: float = 172800.0,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(root, _CondaRecipe(channels, limits or Limits()), max_age)


class _CondaRecipe:
    kind: Kind = "conda"

    def __init__(self, channels: Callable[[], ChannelMap], limits: Limits) -> None:
        self._channels = channels
        self._limits = limits

    def check(self, packages: Sequence[str]) -> None:
        _wanted(packages)

    async def fingerprint(self, packages: Sequence[str]) -> str:
        solver = await trio.to_thread.run_sync(_solver_version)
        channels = self._channels()
        recipe = [
            _LAYOUT,
            sorted(specs_of(_wanted(packages))),
            [channel.url for channel in channels.resolve(())],
            [platform.system(), platform.machine()],
            solver,
        ]
        return hashlib.sha256(orjson.dumps(recipe)).hexdigest()

    async def install(self, path: Path, packages: Sequence[str], report: Report) -> None:
        await build_conda(
            path, _wanted(packages), report, channels=self._channels(), limits=self._limits
        )


def _solver_version() -> str:
    import importlib.metadata

    return importlib.metadata.version("py-rattler")


def _wanted(packages: Sequence[str]) -> CondaPackages:
    try:
        specs = parse_conda_specs(packages, "conda.default_packages")
    except RequirementRefused as error:
        raise EnvironmentBuildFailed(str(error)) from error
    return CondaPackages(tuple(spec.text for spec in specs))
