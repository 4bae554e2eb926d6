"""The deno program: finding it, and fetching it from a package registry where there is none.

Knows nothing of kernels. What was found is looked at again each time, so that neither a search that
failed nor a program that was removed is remembered for ever.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import trio

from runtimed.environments.builder import Report
from runtimed.environments.conda.channels import ChannelMap
from runtimed.environments.conda.messages import Order
from runtimed.environments.conda.solving import Limits, solve_and_link
from runtimed.environments.locks import hold_lock
from runtimed.environments.platforms import conda_platform
from runtimed.environments.programs import run_program
from runtimed.environments.uv import base_python, find_uv, uv_environ
from runtimed.errors import EnvironmentBuildFailed
from runtimed.paths import cache_root
from runtimed.protocol import progress

__all__ = ["DenoTool", "deno_major"]

log = logging.getLogger(__name__)

#: What is fetched. Older versions have a kernel that can't be interrupted.
_WANTED = ">=2.9,<3"

_VERSION_LIMIT = 20.0
_FETCH_LIMIT = 600.0

_REMEDY = "Install Deno 2 or later so that it is on PATH (https://docs.deno.com)"


class DenoTool:
    """Finds deno: on PATH, in ~/.deno/bin, beside our own interpreter, or among our tools.

    tools: the folder for programs that we fetched; by default `<cache>/runt/tools`, which all
    daemons of a user share.
    """

    def __init__(
        self,
        tools: Path | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        locate_uv: Callable[[], Path] = find_uv,
    ) -> None:
        self._tools = tools or cache_root(environ) / "runt" / "tools"
        self._environ = environ
        self._locate_uv = locate_uv
        # What a binary said its major version is, as long as the file stays the same.
        self._majors: dict[tuple[Path, int, int], int | None] = {}

    async def get(self, report: Report) -> Path:
        """The program, fetched if it is nowhere.

        report: gets phases only if there is something to fetch, up to, without, Ready.
        Raises: EnvironmentBuildFailed with what each source said.
        """
        return await self.find() or await self._fetch(report)

    async def find(self) -> Path | None:
        """The program if it is there already; nothing is downloaded."""
        for path in self.candidates():
            if await self._usable(path):
                return path
        return None

    @property
    def _fetched(self) -> Path:
        """Where the fetched program is. Its folder appears complete or not at all."""
        machine = conda_platform(sys.platform, platform.machine())
        name = hashlib.sha256(f"deno={_WANTED}{machine}".encode()).hexdigest()[:12]
        return self._tools / f"deno-{name}" / "bin" / "deno"

    def candidates(self) -> Iterator[Path]:
        """Where the program may be, the preferred place first."""
        places = self._environ.get("PATH", os.defpath)
        # An empty or relative entry would be a program of whatever folder we are in.
        safe = [place for place in places.split(os.pathsep) if Path(place).is_absolute()]
        if home := self._environ.get("HOME"):
            safe.append(str(Path(home) / ".deno" / "bin"))
        safe.append(str(Path(sys.executable).parent))
        for place in dict.fromkeys(safe):
            found = shutil.which("deno", path=place)
            if found is not None:
                yield Path(found)
        yield self._fetched

    async def _usable(self, path: Path) -> bool:
        try:
            status = await trio.to_thread.run_sync(path.stat)
        except OSError:
            return False
        key = (path, status.st_mtime_ns, status.st_size)
        if key not in self._majors:
            try:
                self._majors[key] = await self._major(path)
            except (EnvironmentBuildFailed, trio.TooSlowError) as error:
                log.warning("deno does not work path=%s error=%s", path, error)
                return False
        major = self._majors[key]
        if major is None or major < 2:
            log.warning("deno passed over path=%s major=%s", path, major)
            return False
        return True

    async def _major(self, path: Path) -> int | None:
        done = await run_program(
            [str(path), "--version"],
            environ={**self._environ, "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"},
            cwd=Path("/"),
            limit=_VERSION_LIMIT,
        )
        if not done.ok:
            raise EnvironmentBuildFailed(done.complaint or f"exited with code {done.returncode}")
        return deno_major(done.stdout)

    # Fetching

    async def _fetch(self, report: Report) -> Path:
        started = trio.current_time()
        target = self._fetched.parent.parent
        try:
            await trio.to_thread.run_sync(
                partial(self._tools.mkdir, mode=0o700, parents=True, exist_ok=True)
            )
            async with hold_lock(self._tools / f".{target.name}.lock"):
                if (found := await self.find()) is not None:  # by whoever held the lock
                    return found
                await self._fetch_locked(target, report)
        except OSError as error:
            raise EnvironmentBuildFailed(
                f"Failed to install Deno in {self._tools}: {error}. {_REMEDY}", "deno"
            ) from error
        elapsed = int((trio.current_time() - started) * 1000)
        report(progress.InstallComplete(elapsed_ms=elapsed))
        log.info("deno fetched path=%s elapsed_ms=%d", self._fetched, elapsed)
        return self._fetched

    async def _fetch_locked(self, target: Path, report: Report) -> None:
        report(progress.InstallingPackages(packages=(f"deno{_WANTED}",)))
        complaints = []
        for name, source in (("PyPI", self._from_pypi), ("conda-forge", self._from_conda)):
            await trio.to_thread.run_sync(self._remove_leftovers, target.name)
            folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=self._tools))
            try:
                await source(folder / "deno", report)
                await self._move_in(folder / "deno", target)
                return
            except EnvironmentBuildFailed as error:
                log.warning("deno not fetched source=%s error=%s", name, error)
                complaints.append(f"from {name}: {error}")
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(partial(shutil.rmtree, folder, True))
        raise EnvironmentBuildFailed(
            f"Failed to get Deno, {'; '.join(complaints)}. {_REMEDY}", "deno"
        )

    async def _from_pypi(self, folder: Path, report: Report) -> None:
        """The wheel has one binary in it, and no Python that would run at the installation."""
        command = [str(self._locate_uv()), "pip", "install", "--python", str(base_python())]
        command += ["--target", str(folder), "--no-deps", "--only-binary", ":all:"]
        try:
            done = await run_program(
                [*command, "--", f"deno{_WANTED}"],
                environ=uv_environ(self._environ),
                cwd=folder.parent,
                limit=_FETCH_LIMIT,
            )
        except trio.TooSlowError:
            raise EnvironmentBuildFailed(f"timeout after {_FETCH_LIMIT:.0f} seconds") from None
        if not done.ok:
            raise EnvironmentBuildFailed(done.complaint)

    async def _from_conda(self, folder: Path, report: Report) -> None:
        channels = ChannelMap.of(self._environ).resolve(("conda-forge",))
        packages = folder.parent / "packages"
        order = Order(str(folder), [f"deno {_WANTED}"], list(channels), str(packages))
        await solve_and_link(order, report, limits=Limits(), environ=self._environ)

    async def _move_in(self, folder: Path, target: Path) -> None:
        """Put a checked program in its place, in one step."""
        binary = folder / "bin" / "deno"
        try:
            major = await self._major(binary)
        except (EnvironmentBuildFailed, trio.TooSlowError) as error:
            raise EnvironmentBuildFailed(f"the fetched program does not work: {error}") from error
        if major is None or major < 2:
            raise EnvironmentBuildFailed("the fetched program is no Deno 2")

        def move() -> None:
            if target.exists():  # there, but not usable, or it would have been found
                shutil.rmtree(target)
            folder.rename(target)

        await trio.to_thread.run_sync(move)

    def _remove_leftovers(self, name: str) -> None:
        """What a fetch left that was killed. The lock is held, so nobody is at it."""
        for path in self._tools.glob(f".{name}-*"):
            shutil.rmtree(path, ignore_errors=True)


def deno_major(version: str) -> int | None:
    """The major version in what `deno --version` says.

    Source: specification, "Obtaining helper binaries": the first word of line 1 that begins with a
    digit, up to its first dot.
    """
    for word in version.partition("\n")[0].split():
        if word[0].isdigit():
            major = word.partition(".")[0]
            return int(major) if major.isdecimal() else None
    return None
