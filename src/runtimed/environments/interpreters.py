"""Which interpreter an environment is made for, when a notebook constrains it.

The daemon's own base interpreter if it will do, else an installed one that uv finds. None is
downloaded: what uv would fetch comes from a host that no package index vouches for.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson
import trio
from packaging.specifiers import SpecifierSet

from runtimed.environments.programs import run_program
from runtimed.environments.requirements import parse_requires_python
from runtimed.environments.uv import base_python, find_uv, uv_environ
from runtimed.errors import EnvironmentBuildFailed

__all__ = ["Interpreters"]

_FIND_LIMIT = 30.0


class Interpreters:
    """Finds interpreters; what was found is remembered for as long as it is there."""

    def __init__(
        self,
        *,
        locate_uv: Callable[[], Path] = find_uv,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._locate_uv = locate_uv
        self._environ = environ
        self._base = base_python()
        self._found: dict[str, Path] = {}

    async def choose(self, requires_python: str | None) -> Path:
        """An interpreter that satisfies the constraint, a PEP 440 specifier set.

        Raises: EnvironmentBuildFailed naming the constraint; RequirementRefused.
        """
        constraint = parse_requires_python(requires_python) if requires_python else None
        if constraint is None or self._base_satisfies(constraint):
            return self._base
        known = self._found.get(constraint)
        if known is None or not known.exists():
            known = self._found[constraint] = await self._find(constraint)
        return known

    def _base_satisfies(self, constraint: str) -> bool:
        return SpecifierSet(constraint).contains(platform.python_version(), prereleases=True)

    async def _find(self, constraint: str) -> Path:
        command = [str(self._locate_uv()), "python", "find", "--no-project", "--system"]
        variables = uv_environ(self._environ)
        variables["PATH"] = os.pathsep.join(_search_path(self._environ))
        try:
            done = await run_program(
                [*command, "--", constraint],
                environ=variables,
                cwd=Path("/"),
                limit=_FIND_LIMIT,
            )
        except trio.TooSlowError:
            raise EnvironmentBuildFailed(
                f"No interpreter for requires-python {constraint!r}: uv did not find one within "
                f"{_FIND_LIMIT:.0f} seconds"
            ) from None
        found = done.stdout.strip()
        if not done.ok or not found:
            others = await self._installed(variables)
            raise EnvironmentBuildFailed(
                f"No installed interpreter satisfies requires-python {constraint!r}. Found were "
                f"{', '.join([f'{platform.python_version()} (the default)', *others])}: install "
                f"one with `uv python install '{constraint}'`, or change the constraint in the "
                "notebook"
            )
        return Path(found)

    async def _installed(self, variables: Mapping[str, str]) -> list[str]:
        """The versions of all others that uv finds, the newest first; none if it does not say."""
        command = [str(self._locate_uv()), "python", "list", "--only-installed"]
        try:
            done = await run_program(
                [*command, "--output-format", "json"],
                environ=variables,
                cwd=Path("/"),
                limit=_FIND_LIMIT,
            )
            found = [_called(one) for one in orjson.loads(done.stdout)]
        except (trio.TooSlowError, ValueError, TypeError, KeyError):
            return []
        return [one for one in dict.fromkeys(found) if one != platform.python_version()]


def _called(interpreter: Mapping[str, str]) -> str:
    name, version = interpreter["implementation"], interpreter["version"]
    return version if name == "cpython" else f"{name} {version}"


def _search_path(environ: Mapping[str, str]) -> list[str]:
    """PATH, with the interpreters of pyenv in place of its shims, which run one of them only."""
    home = Path(environ.get("HOME") or "/")
    root = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    entries = [
        entry
        for entry in environ.get("PATH", os.defpath).split(os.pathsep)
        if Path(entry).is_absolute() and Path(entry) != root / "shims"
    ]
    installed = sorted(root.glob("versions/*/bin"), key=_numbers, reverse=True)
    return entries + [str(path) for path in installed]


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path.parent.name)]
