"""What a check finds, as a value. A check is a function of the site; a repair, one of nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from runtimed.doctor.site import Site

__all__ = ["Check", "Finding", "Repair", "Status", "ok"]

Status = Literal["ok", "note", "warning", "error", "mended"]

#: Mends what was found; gives what it did, as a sentence. May raise OSError or RuntimedError.
Repair: TypeAlias = Callable[[], str]


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    status: `note` is worth knowing and nothing wrong; `mended` was wrong until a moment ago.
    what, why: what was found, and what follows from it or where it comes from.
    remedy: what a person can do. repair: what the doctor can; `alone`: only while no daemon runs.
    done: what was done about it, or why nothing was.
    """

    name: str
    status: Status
    what: str
    path: Path | None = None
    why: str = ""
    remedy: str = ""
    done: str = ""
    repair: Repair | None = attrs.field(default=None, repr=False, eq=False)
    alone: bool = False

    @property
    def is_wrong(self) -> bool:
        return self.status in ("warning", "error")

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "status": self.status,
            "path": str(self.path) if self.path else None,
            "what": self.what,
            "why": self.why or None,
            "remedy": self.remedy or None,
            "done": self.done or None,
            "can_mend": self.repair is not None,
        }


Check: TypeAlias = Callable[[Site], Iterable[Finding]]


def ok(name: str, what: str, path: Path | None = None) -> Finding:
    return Finding(name=name, status="ok", what=what, path=path)
