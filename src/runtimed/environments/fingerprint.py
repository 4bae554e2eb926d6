"""What tells one set of packages from another: the names of cached environments.

Two kinds. The recipes hash the texts exactly as they stand, as other programs of this protocol do.
The fingerprint is what our cache goes by: equal sets have one, however they are spelled, and a set
has another for another interpreter, platform, or way of building. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import orjson

from runtimed.environments.requirements import parse_requirement, parse_requires_python
from runtimed.environments.wanted import CondaPackages, Packages
from runtimed.errors import RequirementRefused

__all__ = ["conda_recipe", "fingerprint", "uv_recipe"]

_RECIPE_DIGITS = 16


def uv_recipe(
    dependencies: Iterable[str],
    *,
    env_id: str | None = None,
    requires_python: str | None = None,
    prerelease: str | None = None,
) -> str:
    """16 hex digits for a list of Python requirements, nothing of it normalised.

    Source: specification, "Hash recipes".
    """
    listed = sorted(dependency.encode() for dependency in dependencies)
    data = b"".join(dependency + b"\n" for dependency in listed)
    if not listed and env_id is not None:
        data = f"env_id:{env_id}\n".encode()
    if requires_python is not None:
        data += f"requires-python:{requires_python}".encode()
    if prerelease is not None:
        data += f"\nprerelease:{prerelease}".encode()
    return hashlib.sha256(data).hexdigest()[:_RECIPE_DIGITS]


def conda_recipe(
    dependencies: Iterable[str],
    channels: Iterable[str],
    *,
    python: str | None = None,
    env_id: str | None = None,
) -> str:
    """16 hex digits for a list of conda specs. Source: as for `uv_recipe`."""
    data = b"".join(line + b"\n" for line in sorted(item.encode() for item in dependencies))
    data += b"".join(
        b"channel:" + line + b"\n" for line in sorted(item.encode() for item in channels)
    )
    if python is not None:
        data += f"python:{python}".encode()
    if env_id is not None:
        data += f"env_id:{env_id}".encode()
    return hashlib.sha256(data).hexdigest()[:_RECIPE_DIGITS]


def fingerprint(
    wanted: Packages,
    *,
    platform: str,
    interpreter: str = "",
    built_by: Sequence[str] = (),
) -> str:
    """64 hex digits; the first 16 are enough to name a folder.

    platform: such as `linux-64`. interpreter: which one it is built on, where the packages do not
    bring their own: a version and where it lies. built_by: what else decides the result, such as
    the version of our layout and the packages that every environment gets.
    Special cases: for channels the order counts. Variables do not count: they are set when a kernel
    starts and are not in the environment.
    """
    content: list[object] = [platform, interpreter, list(built_by)]
    if isinstance(wanted, CondaPackages):
        content += [
            "conda",
            _normal_set(" ".join(spec.split()) for spec in wanted.specs),
            list(wanted.channels),
            "".join((wanted.python or "").split()),
            _normal_set(map(_normal_requirement, wanted.pip)),
            _normal_set(wanted.editable),
            list(wanted.pip_options),
        ]
    else:
        content += [
            "uv",
            _normal_set(map(_normal_requirement, wanted.requirements)),
            _normal_python(wanted.requires_python),
            # What uv does when it is told nothing.
            wanted.prerelease or "if-necessary-or-explicit",
        ]
    return hashlib.sha256(orjson.dumps(content)).hexdigest()


def _normal_set(texts: Iterable[str]) -> list[str]:
    return sorted(set(texts))


def _normal_requirement(text: str) -> str:
    try:
        return parse_requirement(text, local_files=True).text
    except RequirementRefused:
        return text


def _normal_python(text: str | None) -> str:
    try:
        return parse_requires_python(text) or "" if text is not None else ""
    except RequirementRefused:
        return text or ""
