"""The states of trust, and what is told of it. Pure."""

from __future__ import annotations

from typing import Literal

from runtimed.environments.trust.content import Content
from runtimed.environments.trust.signature import is_signed

__all__ = ["Status", "refusal", "status_of"]

Status = Literal["no_dependencies", "trusted", "untrusted", "signature_invalid"]


def status_of(content: Content, signature: str | None, key: bytes | None) -> Status:
    """What a signature says of some content. Without a key nothing was ever signed here."""
    if content.is_empty:
        return "no_dependencies"
    if key is not None and is_signed(key, content.to_bytes(), signature):
        return "trusted"
    return "untrusted" if signature is None else "signature_invalid"


def refusal(content: Content, status: Status, notebook: str | None, trouble: str = "") -> str:
    """Why nothing of it is installed, and what can be done.

    `notebook` is the path of its file, `trouble` what keeps approvals from being checked.
    """
    changed = status == "signature_invalid"
    why = "were changed since they were approved" if changed else "came with its file"
    command = f"'runt trust {notebook}'" if notebook else "'runt trust NOTEBOOK'"
    return (
        f"Notebook is not trusted: its dependencies {why} and nobody has approved them on this "
        f"machine ({content.describe()}). Approve them with Session.approve_trust() or {command}, "
        'or start the kernel with env_source="uv:prewarmed" to run without them'
        + (f". {trouble}" if trouble else "")
    )
