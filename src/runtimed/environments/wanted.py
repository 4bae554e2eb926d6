"""Which environment a kernel is to have, as values: resolution makes them, builders carry them out.

What came out of a notebook or a project file has been parsed before it gets here: requirements are
PEP 508, specs are conda match specs, and none of them can be taken for an option or a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from runtimed.environments.environment import Kind

__all__ = [
    "NO_PACKAGES",
    "Choice",
    "CondaPackages",
    "Consent",
    "DenoRuntime",
    "EnvSource",
    "Packages",
    "Pooled",
    "UvPackages",
    "UvProject",
    "Wanted",
]

EnvSource = Literal[
    "uv:inline",
    "conda:inline",
    "uv:pep723",
    "uv:pyproject",
    "conda:pixi",
    "conda:env_yml",
    "uv:prewarmed",
    "conda:prewarmed",
    "deno",
]

#: What has to be approved before anything is installed: nothing, the notebook's own list (by its
#: signature), or the project file.
Consent = Literal["none", "notebook", "project"]


@attrs.frozen
class Pooled:
    """Any environment of a pool: `uv:prewarmed`, `conda:prewarmed`."""

    kind: Kind


@attrs.frozen
class UvPackages:
    """Packages from a Python index: `uv:inline`, `uv:pep723`.

    requires_python: a PEP 440 specifier set; prerelease: one of uv's words.
    """

    requirements: tuple[str, ...]
    requires_python: str | None = None
    prerelease: str | None = None


#: What only has the kernel's own packages, for the default interpreter.
NO_PACKAGES = UvPackages(())


@attrs.frozen
class UvProject:
    """The project of a pyproject.toml, run by uv: `uv:pyproject`."""

    pyproject: Path


@attrs.frozen
class CondaPackages:
    """Packages from conda channels: `conda:inline`, `conda:pixi`, `conda:env_yml`.

    python: a version spec such as `>=3.10,<3.13`, without the name. pip: PEP 508 requirements that
    uv installs afterwards; editable: absolute folders, with extras in brackets perhaps, that uv
    installs as they are, so that a change in them needs no new environment. pip_options: what uv is
    given besides, each an option with its value, such as `--index-url=https://...`; made from a
    project file's values, never from a notebook's. variables: for the kernel's environment.
    """

    specs: tuple[str, ...]
    channels: tuple[str, ...] = ()
    python: str | None = None
    pip: tuple[str, ...] = ()
    editable: tuple[str, ...] = ()
    pip_options: tuple[str, ...] = ()
    variables: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class DenoRuntime:
    """A Deno kernel, as `runt.deno` describes it. `folder`: where configuration is looked for."""

    permissions: tuple[str, ...] | None = None
    import_map: str | None = None
    config: str | None = None
    flexible_npm_imports: bool = True
    folder: Path | None = None


Packages = UvPackages | CondaPackages
Wanted = Pooled | Packages | UvProject | DenoRuntime


@attrs.frozen
class Choice:
    """What resolution found: the environment, and why it is this one.

    reasons: one sentence for each step of the decision, the deciding one last.
    notes: what was asked for and is not done, each with the reason.
    origin: the project file that it comes from, if any.
    """

    kernel_type: Literal["python", "deno"]
    env_source: EnvSource
    wanted: Wanted
    consent: Consent = "none"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Path | None = None
