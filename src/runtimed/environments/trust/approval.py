"""Whether what a choice would install was approved on this machine. Blocking: reads two files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from runtimed.environments.trust.content import Content, signature_of
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.key import read_key
from runtimed.environments.trust.projects import is_project_approved
from runtimed.environments.trust.similar import SimilarName
from runtimed.environments.trust.standing import Standing, is_vouched_for, status_of
from runtimed.environments.wanted import Choice
from runtimed.errors import TrustKeyUnusable

__all__ = ["Approval", "approval_of"]


@attrs.frozen
class Approval:
    """approved: None where nothing has to be. trouble: what kept it from being looked up."""

    approved: bool | None
    similar_names: tuple[SimilarName, ...] = ()
    trouble: str | None = None


def approval_of(
    choice: Choice,
    snapshot: Mapping[str, Any] | None,
    cells: Iterable[tuple[str, str]],
    files: TrustFiles,
) -> Approval:
    """How it stands for the notebook as its file is now; the cells as type and source."""
    if choice.consent == "project" and choice.origin is not None:
        try:
            return Approval(is_project_approved(files.projects, choice.origin))
        except OSError as error:
            return Approval(False, trouble=f"{choice.origin}: {error.strerror or error}")
    if choice.consent == "none":
        return Approval(None)
    content, signature = Content.of(snapshot, cells), signature_of(snapshot)
    try:
        vouched, trouble = is_vouched_for(content, signature, read_key(files.key)), None
    except TrustKeyUnusable as error:
        vouched, trouble = False, str(error)
    standing = Standing(status_of(content, signature, vouched), content)
    return Approval(not standing.needs_approval, tuple(standing.similar_names), trouble)
