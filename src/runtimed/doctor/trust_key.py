"""The key that approvals are signed with."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from runtimed.doctor.aside import move_aside
from runtimed.doctor.finding import Finding, ok
from runtimed.doctor.site import Site
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.key import read_key
from runtimed.errors import TrustKeyUnusable

__all__ = ["trust_key"]


def trust_key(site: Site) -> Iterator[Finding]:
    """A key that is damaged, or that others may know."""
    path = TrustFiles.of_user(site.environ).key
    try:
        if read_key(path) is not None:
            yield ok("trust-key", "The trust key can be used", path)
        return
    except TrustKeyUnusable as error:
        trouble = str(error)

    def move() -> str:
        # A key that was open to others is not closed but given up: they may have read it.
        return f"Moved the trust key to {move_aside(path)}; a new one is made when it is needed"

    try:
        movable = stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        movable = False
    what, _, remedy = trouble.rpartition(": ")
    yield Finding(
        name="trust-key",
        status="error",
        path=path,
        what=what,
        why="Nothing that a notebook asks for can be approved",
        remedy=remedy or "Make it and its folder readable and writable for you",
        repair=move if movable else None,
    )
