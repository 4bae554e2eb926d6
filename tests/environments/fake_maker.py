"""A maker of environments for tests of what is around it: a few files instead of packages."""

from __future__ import annotations

from pathlib import Path

import trio

from runtimed.environments.environment import Environment, Kind
from runtimed.environments.wanted import UvPackages
from runtimed.protocol import progress

__all__ = ["FakeMaker", "add_package", "has"]


class FakeMaker:
    """Makes folders that look like environments; `gate`, when there is one, holds builds up."""

    kind: Kind = "uv"

    def __init__(self) -> None:
        self.built: list[UvPackages] = []
        self.extended: list[UvPackages] = []
        self.finished: list[Path] = []
        self.with_base = False
        self.script = False
        self.can_extend = True
        self.gate: trio.Event | None = None
        self.failure: Exception | None = None

    async def fingerprint(self, wanted: UvPackages) -> str:
        text = "".join(sorted(wanted.requirements)).encode().hex()
        return text.ljust(64, "0")[:64]

    def base(self, wanted: UvPackages) -> UvPackages | None:
        return UvPackages(()) if self.with_base and wanted.requirements else None

    async def build(self, path: Path, wanted: UvPackages, report: object) -> None:
        assert callable(report)
        self.built.append(wanted)
        report(progress.CreatingVenv())
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "python").touch()
        if self.script:
            (path / "bin" / "script").write_text(f"#!{path}/bin/python\n")
        report(progress.InstallingPackages(packages=wanted.requirements))
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        for name in wanted.requirements:
            add_package(path, name)

    async def extend(self, path: Path, wanted: UvPackages, report: object) -> bool:
        self.extended.append(wanted)
        for name in wanted.requirements:
            add_package(path, name)
        return self.can_extend

    async def finish(self, path: Path) -> None:
        self.finished.append(path)


def add_package(path: Path, name: str) -> None:
    (path / "lib/python3.11/site-packages" / f"{name}-1.0.dist-info").mkdir(parents=True)
    (path / "lib/python3.11/site-packages" / f"{name}.py").write_text("x" * 1000)


def has(environment: Environment, name: str) -> bool:
    return (environment.path / "lib/python3.11/site-packages" / f"{name}.py").exists()
