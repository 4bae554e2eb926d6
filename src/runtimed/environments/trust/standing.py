"""The states of trust, and what is told of it. Pure."""

from __future__ import annotations

from typing import Literal

import attrs

from runtimed.environments.trust.content import Content
from runtimed.environments.trust.signature import is_signed
from runtimed.environments.trust.similar import SimilarName, similar_names
from runtimed.errors import RuntimedError

__all__ = ["Standing", "Status", "is_vouched_for", "refusal", "status_of"]

Status = Literal["no_dependencies", "trusted", "untrusted", "signature_invalid"]


@attrs.frozen
class Standing:
    """What a notebook asks for and whether that was approved."""

    status: Status
    content: Content

    @property
    def needs_approval(self) -> bool:
        return self.status in ("untrusted", "signature_invalid")

    @property
    def similar_names(self) -> list[SimilarName]:
        """Its packages that may be others than was meant."""
        return similar_names(self.content.packages)


def is_vouched_for(content: Content, signature: str | None, key: bytes | None) -> bool:
    """Whether nothing of some content needs an approval any more. Without a key nothing was ever
    signed here."""
    if content.is_bare:
        return True
    try:
        return key is not None and is_signed(key, content.to_bytes(), signature)
    except RuntimedError:  # it has no canonical form, so nobody has signed it
        return False


def status_of(content: Content, signature: str | None, approved: bool) -> Status:
    """The state of a notebook whose content is approved, or is not."""
    if content.is_empty:
        return "no_dependencies"
    if approved:
        return "trusted"
    return "untrusted" if signature is None else "signature_invalid"


def refusal(standing: Standing, notebook: str | None, trouble: str | None = None) -> str:
    """Why nothing of it is installed, and what can be done.

    `notebook` is the path of its file, `trouble` what keeps approvals from being checked.
    """
    changed = standing.status == "signature_invalid"
    why = "were changed since they were approved" if changed else "came with its file"
    command = f"'runt trust {notebook}'" if notebook else "'runt trust NOTEBOOK'"
    return (
        f"Notebook is not trusted: its dependencies {why}, and nobody has approved them on this "
        f"machine ({standing.content.describe()}). Approve them with Session.approve_trust() or "
        f'{command}, or start the kernel with env_source="uv:prewarmed" to run without them'
        + (f". {trouble}" if trouble else "")
    )
