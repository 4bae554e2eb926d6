"""Names of packages that look like those of popular ones. Pure, and advice only."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs
from rapidfuzz.distance import Levenshtein

from runtimed.environments.trust.popular import POPULAR

__all__ = ["SimilarName", "similar_name", "similar_names"]

_NAME_END = re.compile(r"[><=!~\[;@]")


@attrs.frozen
class SimilarName:
    """A package whose name is almost that of a popular one; `distance` counts letters."""

    package: str
    similar_to: str
    distance: int


def similar_names(packages: Iterable[str]) -> list[SimilarName]:
    """The warnings about some requirements, each package once."""
    found: dict[str, SimilarName] = {}
    for package in packages:
        warning = similar_name(package)
        if warning is not None:
            found.setdefault(warning.package, warning)
    return list(found.values())


def similar_name(requirement: str) -> SimilarName | None:
    """The popular name that a requirement's name is mistaken for most easily; None for none.

    Special cases: a popular name itself is no mistake. Short names have to be closer.
    """
    name = package_name(requirement)
    if not name or name in POPULAR:
        return None
    limit = 1 if len(name) <= 3 else 2 if len(name) <= 6 else 3
    best: SimilarName | None = None
    for popular in sorted(POPULAR):
        distance = Levenshtein.distance(name, popular, score_cutoff=limit)
        if distance <= limit and (best is None or distance < best.distance):
            best = SimilarName(name, popular, distance)
    return best


def package_name(requirement: str) -> str:
    """The name in a requirement, in the form in which names are compared."""
    name = _NAME_END.split(requirement, maxsplit=1)[0]
    # A conda spec may name its channel before, and have its version behind a space.
    name = name.rpartition("::")[2].strip().partition(" ")[0]
    return name.lower().replace("_", "-").replace(".", "-")
