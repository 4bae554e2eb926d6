"""Names for the writers of a document.

An actor id may be used by one document instance only: two instances that number their changes alike
could never be merged again. So every call makes a new one.
"""

from __future__ import annotations

import re
import secrets

__all__ = ["actor_text", "client_actor", "daemon_actor"]

_LONGEST_LABEL = 64


def daemon_actor() -> bytes:
    """An actor for a document the daemon creates or loads: `runtimed:<16 hex>`."""
    return f"runtimed:{secrets.token_hex(8)}".encode()


def client_actor(label: str | None = None) -> bytes:
    """An actor for a client's replica: `agent:<label>:<8 hex>`; with no label `human:<32 hex>`."""
    slug = re.sub(r"[^\w.@+-]+", "-", (label or "").lower()).strip("-")[:_LONGEST_LABEL]
    if not slug:
        return f"human:{secrets.token_hex(16)}".encode()
    return f"agent:{slug}:{secrets.token_hex(4)}".encode(errors="replace")


def actor_text(actor: bytes) -> str:
    """How an actor is shown to people: as text, or as hex if it is no UTF-8."""
    try:
        return actor.decode()
    except UnicodeDecodeError:
        return actor.hex()
