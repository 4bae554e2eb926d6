"""The folders under one root that hold environments: their names, markers and owners.

A marker file inside an environment tells its state, so that a daemon started later knows what it
may use again. An owner is a locked file that says its daemon is alive. Everything here blocks:
call it from a thread.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import attrs
import orjson

from runtimed.environments.environment import Kind
from runtimed.environments.locks import try_lock

__all__ = [
    "MARKER",
    "Marker",
    "Owner",
    "environments_in",
    "is_environment",
    "is_template",
    "living_owners",
    "new_environment_path",
    "new_template_path",
    "read_marker",
    "remove_folder",
    "templates_in",
    "write_marker",
]

MARKER = ".runtimed-environment.json"

# Names of templates are exactly as long as names of environments: a clone puts its own name in the
# place of the template's, and no script's first line can outgrow what the system allows for it.
_FINGERPRINT = 16
_ENVIRONMENT = re.compile(r"runtimed-(uv|conda)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TEMPLATE = re.compile(r"template-(uv|conda)-[0-9a-f]{16}-[0-9a-f]{19}")
_OWNER = re.compile(r"\.owner-[0-9a-f]{32}\.lock")


@attrs.frozen
class Marker:
    """The state of one environment or template.

    State: `building`, then `ready`, then `claimed` (given out; never to be used again).
    Units: `created` is wall-clock time in seconds.
    `compiled`: every module of a template has its bytecode, not only what kernels import.
    """

    state: Literal["building", "ready", "claimed"]
    created: float
    fingerprint: str
    owner: str = ""
    compiled: bool = False


def new_environment_path(root: Path, kind: Kind) -> Path:
    return root / f"runtimed-{kind}-{uuid.uuid4()}"


def new_template_path(root: Path, kind: Kind, fingerprint: str) -> Path:
    return root / f"template-{kind}-{fingerprint[:_FINGERPRINT]}-{uuid.uuid4().hex[:19]}"


def is_environment(root: Path, kind: Kind, path: Path) -> bool:
    """Whether the path is directly below the root and named like one of our environments."""
    named = _ENVIRONMENT.fullmatch(path.name)
    return path.parent == root and named is not None and named[1] == kind


def is_template(root: Path, kind: Kind, path: Path) -> bool:
    named = _TEMPLATE.fullmatch(path.name)
    return path.parent == root and named is not None and named[1] == kind


def environments_in(root: Path, kind: Kind) -> list[Path]:
    return [path for path in _listed(root) if is_environment(root, kind, path)]


def templates_in(root: Path, kind: Kind) -> list[Path]:
    return [path for path in _listed(root) if is_template(root, kind, path)]


def _listed(root: Path) -> list[Path]:
    try:
        return sorted(root.iterdir())
    except FileNotFoundError:
        return []


def read_marker(folder: Path) -> Marker | None:
    """What the folder's marker says; None without a readable one."""
    try:
        known = orjson.loads((folder / MARKER).read_bytes())
        state = known["state"]
        if state not in ("building", "ready", "claimed"):
            return None
        return Marker(
            state=state,
            created=float(known["created"]),
            fingerprint=str(known["fingerprint"]),
            owner=str(known.get("owner", "")),
            compiled=known.get("compiled") is True,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_marker(folder: Path, marker: Marker) -> None:
    beside = folder / f"{MARKER}.{uuid.uuid4().hex[:8]}"
    try:
        beside.write_bytes(orjson.dumps(attrs.asdict(marker)))
        beside.replace(folder / MARKER)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def remove_folder(root: Path, kind: Kind, path: Path) -> None:
    """Delete an environment or a template. Links are removed, never followed.

    The marker goes first: whatever stops this half-way, nothing that looks ready remains.

    Raises: ValueError for any path but `<root>/<one of our names>`; OSError if some of it stays.
    """
    if not (is_environment(root, kind, path) or is_template(root, kind, path)):
        raise ValueError(f"not one of our environments: {path}")
    if path.is_symlink():
        path.unlink(missing_ok=True)
        return
    (path / MARKER).unlink(missing_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():  # something in it was made read-only
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path)


class Owner:
    """Says that the daemon which builds and uses environments under this root is alive.

    Markers carry the owner's name. Environments of another living owner are left alone, so two
    daemons that were given one root do not delete each other's.
    """

    def __init__(self, root: Path) -> None:
        while True:
            self.name = uuid.uuid4().hex
            self._path = root / f".owner-{self.name}.lock"
            self._stack = ExitStack()
            # Another daemon that looks around just now may hold or unlink the file: try the next.
            if self._stack.enter_context(try_lock(self._path)) and self._path.exists():
                return
            self._stack.close()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._stack.close()


def living_owners(root: Path, *, tidy: bool = True) -> Iterator[str]:
    """Names of all owners that hold their lock; files of dead ones are removed on the way, unless
    nothing is to be tidied."""
    for path in _listed(root):
        if _OWNER.fullmatch(path.name):
            with try_lock(path) as was_free:
                if was_free and tidy:
                    path.unlink(missing_ok=True)
                elif not was_free:
                    yield path.name[len(".owner-") : -len(".lock")]
