"""Building environments for the uv pool: what is in a template, and how uv makes it."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import trio

from runtimed.environments.builder import Report
from runtimed.environments.environment import Kind
from runtimed.environments.index_settings import index_settings
from runtimed.environments.templates import TemplateBuilder
from runtimed.environments.uv import base_python, find_uv, uv_version
from runtimed.environments.uv_install import BASE_PACKAGES, check_requirements, install
from runtimed.environments.warm_up import warm_up

__all__ = ["UvBuilder"]

_LAYOUT = 1  # part of the fingerprint: raise it when templates are built differently


class UvBuilder(TemplateBuilder):
    """Builds environments for a Pool with uv, under `root`.

    python: the interpreter they are made for; by default the one below the daemon's own.
    locate_uv: gives the uv binary; asked at each build, so a failed search is not for ever.
    max_age: seconds after which a template is built anew, so that environments follow releases.
    """

    def __init__(
        self,
        root: Path,
        *,
        python: Path | None = None,
        max_age: float = 172800.0,
        locate_uv: Callable[[], Path] = find_uv,
    ) -> None:
        super().__init__(root, _UvRecipe(python or base_python(), locate_uv), max_age)


class _UvRecipe:
    kind: Kind = "uv"

    def __init__(self, python: Path, locate_uv: Callable[[], Path]) -> None:
        self._python = python
        self._locate_uv = locate_uv
        self._versions: dict[Path, str] = {}

    def check(self, packages: Sequence[str]) -> None:
        check_requirements(packages)

    async def fingerprint(self, packages: Sequence[str]) -> str:
        uv = self._locate_uv()
        if uv not in self._versions:
            self._versions[uv] = await uv_version(uv)
        recipe: list[object] = [
            _LAYOUT,
            sorted(set(BASE_PACKAGES) | {package.strip() for package in packages}),
            [str(self._python), sys.version, platform.machine()],
            self._versions[uv],
        ]
        recipe += await trio.to_thread.run_sync(index_settings)
        return hashlib.sha256(orjson.dumps(recipe)).hexdigest()

    async def install(self, path: Path, packages: Sequence[str], report: Report) -> None:
        await install(path, self._locate_uv(), self._python, packages, report)
        await warm_up(path)
