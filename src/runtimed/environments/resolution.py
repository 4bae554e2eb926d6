"""Which environment a notebook's kernel gets, and why. Pure: facts in, a choice or an error out.

One resolver for the launch when a notebook is opened and for explicit requests. A kernel never gets
another environment than the notebook, the project or the request asks for: what can't be had is an
error that names the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import attrs

from runtimed.document.runtime import notebook_runtime
from runtimed.environments.conda_specs import (
    parse_channels,
    parse_conda_specs,
    parse_conda_version,
)
from runtimed.environments.project_choice import Project, choose_project, named_project
from runtimed.environments.projects.project_file import ProjectFile
from runtimed.environments.requirements import (
    parse_prerelease,
    parse_requirements,
    parse_requires_python,
)
from runtimed.environments.script_block import CodeCell, ScriptBlock, find_script_block
from runtimed.environments.wanted import (
    Choice,
    CondaPackages,
    DenoRuntime,
    EnvSource,
    Pooled,
    UvPackages,
)
from runtimed.errors import RuntimedError, ScriptBlockInvalid

__all__ = ["RESOLVE", "Situation", "check_request", "resolve"]

#: What a request says to have the environment found.
RESOLVE = ("", "auto", "prewarmed")

_PREWARMED = 'start the kernel with env_source="uv:prewarmed" to run without'


@attrs.frozen
class Situation:
    """Everything that the decision depends on.

    snapshot: the notebook's metadata, with `kernelspec`, `language_info` and `runt`.
    cells: its code cells; project_files: those in its reach, nearest first.
    kernel_type, env_source: what was asked for; `auto` has it found.
    folder: where the kernel will run. platform: such as `linux-64`.
    """

    snapshot: Mapping[str, Any] | None = None
    cells: Sequence[CodeCell] = ()
    project_files: Sequence[ProjectFile] = ()
    kernel_type: str = "auto"
    env_source: str = "auto"
    default_runtime: str = "python"
    default_python_env: str = "uv"
    folder: Path | None = None
    platform: str = "linux-64"


def resolve(situation: Situation) -> Choice:
    """The environment for a kernel.

    Raises: RuntimedError naming the remedy: for a request that contradicts the notebook or names
    what is not there, and for lists and files that can't be used.
    """
    return _Resolver(situation).resolve()


def check_request(kernel_type: str, env_source: str) -> None:
    """Raises: RuntimedError for a type of kernel or a source of environments that there is not."""
    if env_source not in RESOLVE and env_source not in get_args(EnvSource):
        known = ", ".join(get_args(EnvSource))
        raise RuntimedError(
            f'Unknown environment source: "{env_source}". It can be auto, or one of {known}'
        )
    if kernel_type not in ("", "auto", "python", "deno"):
        raise RuntimedError(
            f"Failed to launch kernel: Unsupported kernel type: {kernel_type}. "
            "Supported types: python, deno"
        )


class _Resolver:
    """Walks through the sources in their order and keeps what it found on the way."""

    def __init__(self, situation: Situation) -> None:
        self._s = situation
        runt = (situation.snapshot or {}).get("runt")
        self._runt: Mapping[str, Any] = runt if isinstance(runt, Mapping) else {}
        self._reasons: list[str] = []
        self._notes: list[str] = []

    def resolve(self) -> Choice:
        asked = self._s.env_source
        check_request(self._s.kernel_type, asked)
        if self._kernel_type() == "deno":
            return self._deno()
        if asked in RESOLVE:
            return self._found()
        self._reasons.append(f"The request names {asked}.")
        by_label: dict[str, Callable[[], Choice]] = {
            "uv:inline": self._uv_inline,
            "conda:inline": self._conda_inline,
            "uv:pep723": self._asked_block,
            "uv:pyproject": self._asked_project,
            "conda:pixi": self._asked_project,
            "conda:env_yml": self._asked_project,
            "uv:prewarmed": lambda: self._pooled("uv"),
            "conda:prewarmed": lambda: self._pooled("conda"),
        }
        return by_label[asked]()

    # The runtime

    def _kernel_type(self) -> Literal["python", "deno"]:
        asked, source = self._s.kernel_type, self._s.env_source
        own = notebook_runtime(self._s.snapshot)
        if asked in ("python", "deno"):
            self._reasons.append(f"The request asks for a {asked.capitalize()} kernel.")
            if source == "deno" and asked == "python":
                raise RuntimedError(
                    'The environment source "deno" has no Python: ask for kernel_type="deno", or '
                    'for env_source="auto"'
                )
            return "deno" if asked == "deno" else "python"
        if own is not None:
            if own == "python" and source == "deno":
                raise RuntimedError(
                    'This is a Python notebook, and the environment source "deno" has no Python: '
                    'ask for kernel_type="deno" too, or for env_source="auto"'
                )
            self._reasons.append(f"The notebook is a {own.capitalize()} notebook{self._said_by()}.")
            return "deno" if own == "deno" else "python"
        unsaid = f"The notebook does not say that it is Python or Deno{self._said_by()}; "
        if source not in RESOLVE:
            kind: Literal["python", "deno"] = "deno" if source == "deno" else "python"
            self._reasons.append(f"{unsaid}{source} is for {kind.capitalize()}.")
            return kind
        default: Literal["python", "deno"] = (
            "deno" if self._s.default_runtime == "deno" else "python"
        )
        self._reasons.append(f"{unsaid}the setting default_runtime says {default.capitalize()}.")
        return default

    def _said_by(self) -> str:
        kernelspec = (self._s.snapshot or {}).get("kernelspec")
        name = kernelspec.get("name") if isinstance(kernelspec, Mapping) else None
        return f' (its kernelspec is "{name}")' if isinstance(name, str) else ""

    def _deno(self) -> Choice:
        if self._s.env_source not in (*RESOLVE, "deno"):
            self._notes.append(
                f"{self._s.env_source} is not used: a Deno kernel needs no Python environment"
            )
        section = self._runt.get("deno")
        section = section if isinstance(section, Mapping) else {}
        self._reasons.append(
            "A Deno kernel needs no environment: Deno itself fetches what it imports."
        )
        permissions = section.get("permissions")
        import_map, config = section.get("import_map"), section.get("config")
        wanted = DenoRuntime(
            permissions=tuple(permissions) if isinstance(permissions, (list, tuple)) else None,
            import_map=import_map if isinstance(import_map, str) else None,
            config=config if isinstance(config, str) else None,
            flexible_npm_imports=section.get("flexible_npm_imports") is not False,
            folder=self._s.folder,
        )
        return Choice(
            "deno", "deno", wanted, reasons=tuple(self._reasons), notes=tuple(self._notes)
        )

    # The Python environment, in the order of its sources

    def _found(self) -> Choice:
        if self._listed("uv"):
            if self._listed("conda"):
                self._notes.append("the conda list is not used: a uv list comes first")
            return self._uv_inline()
        if self._listed("conda"):
            return self._conda_inline()
        self._reasons.append("The notebook lists no packages.")
        if (block := self._block()) is not None:
            return self._pep723(block)
        project = choose_project(self._s.project_files, self._s.platform)
        self._reasons += project.passed_over
        if project.chosen is not None:
            return self._project(project.chosen)
        self._reasons.append("No project file is in its reach.")
        kind = "conda" if self._s.default_python_env == "conda" else "uv"
        setting = self._s.default_python_env
        if setting == "conda":
            told = "says conda"
        elif setting == "uv":  # which is also the default, and nothing tells them apart here
            told = "says uv, or is not set"
        else:
            told = f"is not usable ({setting!r}): uv"
        self._reasons.append(f"The setting default_python_env {told}.")
        return self._pooled("conda" if kind == "conda" else "uv")

    def _listed(self, section: str) -> Sequence[Any]:
        group = self._runt.get(section)
        entries = group.get("dependencies") if isinstance(group, Mapping) else None
        return entries if isinstance(entries, (list, tuple)) else ()

    def _pooled(self, kind: Literal["uv", "conda"]) -> Choice:
        source: EnvSource = "conda:prewarmed" if kind == "conda" else "uv:prewarmed"
        return self._choice(source, Pooled(kind), "none", f"A prewarmed {kind} environment.")

    def _uv_inline(self) -> Choice:
        entries, group = self._inline("uv")
        requires, prerelease = group.get("requires-python"), group.get("prerelease")
        where = "runt.uv"
        wanted = UvPackages(
            tuple(found.text for found in parse_requirements(entries, f"{where}.dependencies")),
            requires_python=None
            if requires is None
            else parse_requires_python(requires, f"{where}.requires-python"),
            prerelease=None
            if prerelease is None
            else parse_prerelease(prerelease, f"{where}.prerelease"),
        )
        why = f"The notebook lists {_packages(len(wanted.requirements))} for uv."
        return self._choice("uv:inline", wanted, "notebook", why)

    def _conda_inline(self) -> Choice:
        entries, group = self._inline("conda")
        channels, python = group.get("channels"), group.get("python")
        where = "runt.conda"
        specs = parse_conda_specs(entries, f"{where}.dependencies")
        pythons = [spec.version for spec in specs if spec.name == "python" and spec.version_only]
        if python is not None:
            pythons.append(parse_conda_version(python, f"{where}.python", fuzzy=True))
        wanted = CondaPackages(
            tuple(s.text for s in specs if not (s.name == "python" and s.version_only)),
            channels=parse_channels(channels, f"{where}.channels")
            if isinstance(channels, (list, tuple))
            else (),
            python=",".join(f"({v})" if "|" in v else v for v in pythons if v) or None,
        )
        why = f"The notebook lists {_packages(len(specs))} for conda."
        return self._choice("conda:inline", wanted, "notebook", why)

    def _inline(self, section: str) -> tuple[Sequence[Any], Mapping[str, Any]]:
        entries = self._listed(section)
        if not entries:
            raise RuntimedError(
                f"The notebook lists no packages in runt.{section}.dependencies, which "
                f'env_source="{section}:inline" asks for: add some, or {_PREWARMED} any'
            )
        return entries, self._runt[section]

    def _block(self) -> ScriptBlock | None:
        """The script block that is used when nothing was asked for."""
        try:
            block = find_script_block(self._s.cells)
        except ScriptBlockInvalid as problem:
            # A block that somebody is still writing must not keep the kernel from starting.
            self._reasons.append(f"Its script block is not used: {problem}.")
            self._notes.append(f"the script block is not used: {problem}")
            return None
        if block is not None and not block.dependencies:
            self._reasons.append(f"The script block in cell {block.cell} lists no packages.")
            return None
        return block

    def _asked_block(self) -> Choice:
        try:
            block = find_script_block(self._s.cells)
        except ScriptBlockInvalid as problem:
            raise RuntimedError(
                f"Invalid PEP 723 metadata in notebook: {problem}. Correct it, or {_PREWARMED} it"
            ) from None
        if block is None or not block.dependencies:
            raise RuntimedError(
                "No PEP 723 dependencies found in notebook cells for requested env_source "
                f'"uv:pep723": add a "# /// script" block to a code cell, or {_PREWARMED} one'
            )
        return self._pep723(block)

    def _pep723(self, block: ScriptBlock) -> Choice:
        self._notes += block.notes
        wanted = UvPackages(block.dependencies, requires_python=block.requires_python)
        count = _packages(len(block.dependencies))
        why = f"The script block in cell {block.cell}, line {block.line}, lists {count}."
        return self._choice("uv:pep723", wanted, "notebook", why)

    def _asked_project(self) -> Choice:
        project = named_project(self._s.env_source, self._s.project_files, self._s.platform)
        return self._project(project)

    def _project(self, project: Project) -> Choice:
        self._notes += project.notes
        self._reasons.append(project.why)
        return Choice(
            "python",
            project.env_source,
            project.wanted,
            "project",
            tuple(self._reasons),
            tuple(self._notes),
            project.path,
        )

    def _choice(
        self,
        source: EnvSource,
        wanted: Pooled | UvPackages | CondaPackages,
        consent: Literal["none", "notebook"],
        why: str,
    ) -> Choice:
        reasons = (*self._reasons, why)
        return Choice("python", source, wanted, consent, reasons, tuple(self._notes))


def _packages(count: int) -> str:
    return "1 package" if count == 1 else f"{count} packages"
