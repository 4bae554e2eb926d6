"""The folder of cached environments: names, records, who uses what, what may go.

Several daemons share it. A record inside an environment is written last and removed first, so what
has one is complete. Whoever uses an environment holds a shared lock on a file beside it; only who
gets that lock alone may remove it. The lock file's time is when the environment was last used.
Everything here blocks, but for the deciding: call it from a thread.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, cast

import attrs
import orjson

from runtimed.environments.directories import MARKER
from runtimed.environments.environment import Environment, Kind
from runtimed.environments.locks import try_lock
from runtimed.replacing import replace_file

__all__ = [
    "FolderName",
    "Hold",
    "Known",
    "Record",
    "build_lock",
    "choose_removals",
    "complete",
    "default_cache_folder",
    "environment_at",
    "folder_size",
    "folders_in",
    "hold",
    "installed_in",
    "known_in",
    "new_folder",
    "read_record",
    "remove_old_locks",
    "remove_unused",
    "retire",
    "take",
    "write_record",
]

# Both words have one length: a room's own copy puts its name in the place of the original's.
_NAME = re.compile(r"(env|own)-(uv|conda)-([0-9a-f]{16})-([0-9a-f]{12})")
_BUILD_LOCK = re.compile(r"\.build-([0-9a-f]{16})\.lock")
_DIGITS = 16
_PATIENCE = 2.0


@attrs.frozen
class FolderName:
    """What the name of a folder says. `own`: a room's own copy."""

    own: bool
    kind: Kind
    fingerprint: str

    @classmethod
    def parse(cls, path: Path) -> FolderName | None:
        named = _NAME.fullmatch(path.name)
        if named is None:
            return None
        return cls(named[1] == "own", cast("Kind", named[2]), named[3])


@attrs.frozen
class Record:
    """What is known of a complete environment.

    contents: the packages that it was built with; another list means that somebody changed it.
    Units: `created` is wall-clock time in seconds; `size` is in bytes, 0 until measured.
    """

    fingerprint: str
    packages: tuple[str, ...]
    created: float
    contents: tuple[str, ...]
    size: int = 0
    finished: bool = False


@attrs.frozen
class Known:
    """One folder as it is listed. `record` is None for what is no complete environment."""

    path: Path
    name: FolderName
    record: Record | None
    last_used: float
    in_use: bool

    @property
    def size(self) -> int:
        return self.record.size if self.record else 0


class Hold:
    """Keeps everybody from removing one folder, until `release`."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._stack = stack

    def release(self) -> None:
        """May be called twice. The environment counts as used until now."""
        try:
            _touch(_use_lock(self.path))
        finally:
            self._stack.close()


# ---------------------------------------------------------------------- names and records


def default_cache_folder(cache_root: Path) -> Path:
    """One for all daemons of a user, whichever channel or worktree they belong to."""
    return cache_root / "runt" / "inline-envs"


def new_folder(
    root: Path, kind: Kind, fingerprint: str, word: Literal["env", "own"] = "env"
) -> Path:
    return root / f"{word}-{kind}-{fingerprint[:_DIGITS]}-{uuid.uuid4().hex[:12]}"


def build_lock(root: Path, fingerprint: str) -> Path:
    """The file that whoever builds this environment has locked."""
    return root / f".build-{fingerprint[:_DIGITS]}.lock"


def folders_in(root: Path) -> list[tuple[Path, FolderName]]:
    try:
        entries = sorted(root.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [(path, name) for path in entries if (name := FolderName.parse(path)) is not None]


def read_record(folder: Path) -> Record | None:
    try:
        known = orjson.loads((folder / MARKER).read_bytes())
        return Record(
            fingerprint=str(known["fingerprint"]),
            packages=tuple(map(str, known["packages"])),
            created=float(known["created"]),
            contents=tuple(map(str, known["contents"])),
            size=int(known["size"]),
            finished=known["finished"] is True,
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(folder: Path, record: Record) -> None:
    replace_file(folder / MARKER, orjson.dumps(attrs.asdict(record)))


def complete(folder: Path, fingerprint: str, packages: Sequence[str], now: float) -> None:
    """Say that the environment can be used from now on."""
    contents = tuple(installed_in(folder))
    write_record(folder, Record(fingerprint, tuple(packages), now, contents))


def installed_in(folder: Path) -> list[str]:
    """The packages in an environment, each with its version."""
    found = [path.stem for path in folder.glob("lib/python*/site-packages/*.dist-info")]
    found += [path.stem for path in folder.glob("conda-meta/*.json")]
    return sorted(found)


# ---------------------------------------------------------------------- using


def _use_lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.use")


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # gone, or another user's; it counts as used when it was last
        pass


def hold(folder: Path) -> Hold | None:
    """Keep a folder from being removed; None while somebody removes it."""
    stack = ExitStack()
    if not stack.enter_context(try_lock(_use_lock(folder), shared=True)):
        stack.close()
        return None
    _touch(_use_lock(folder))
    return Hold(folder, stack)


def take(root: Path, kind: Kind, fingerprint: str) -> Hold | None:
    """Hold a complete environment with that fingerprint, if there is one that nobody changed."""
    for path, name in reversed(folders_in(root)):
        if name.own or name.kind != kind or name.fingerprint != fingerprint[:_DIGITS]:
            continue
        held = _hold_complete(path)
        if held is None:
            continue
        # Only now is it certain that it stays.
        record = read_record(path)
        if record is not None and record.fingerprint == fingerprint and _intact(path, record):
            return held
        if record is not None:
            retire(path)
        held.release()
    return None


def _hold_complete(path: Path) -> Hold | None:
    """Keep a folder from being removed; None if it is no environment any more.

    Who only looks whether it is in use has the lock for a moment, too. Who removes it takes its
    record away first.
    """
    deadline = time.monotonic() + _PATIENCE
    while read_record(path) is not None and time.monotonic() < deadline:
        if (held := hold(path)) is not None:
            return held
        time.sleep(0.002)
    return None


def _intact(path: Path, record: Record) -> bool:
    return (path / "bin" / "python").exists() and installed_in(path) == list(record.contents)


def retire(folder: Path) -> None:
    """Nobody gets this environment any more. Who uses it, may go on."""
    (folder / MARKER).unlink(missing_ok=True)


def environment_at(folder: Path) -> Environment:
    name = FolderName.parse(folder)
    assert name is not None
    return Environment(name.kind, folder, folder / "bin" / "python")


# ---------------------------------------------------------------------- removing


def known_in(root: Path) -> list[Known]:
    """Everything in the cache."""
    return [_look_at(path, name) for path, name in folders_in(root)]


def _look_at(path: Path, name: FolderName) -> Known:
    lock = _use_lock(path)
    in_use = False
    if lock.exists():
        with try_lock(lock) as free:
            in_use = not free
    try:
        last_used = lock.stat().st_mtime
    except FileNotFoundError:
        last_used = _mtime(path)
    return Known(path, name, read_record(path), last_used, in_use)


def _mtime(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def choose_removals(
    known: Iterable[Known], now: float, *, max_age: float, max_size: float
) -> list[Path]:
    """Which folders go: leftovers, what was unused for too long, then the least recently used
    until the rest is small enough. Never what is in use. Decides only; touches nothing."""
    kept: list[Known] = []
    going: list[Path] = []
    total = 0
    for one in known:
        leftover = one.record is None or one.name.own
        if not one.in_use and (leftover or now - one.last_used > max_age):
            going.append(one.path)
        else:
            total += one.size
            kept.append(one)
    for one in sorted(kept, key=lambda one: one.last_used):
        if total <= max_size:
            break
        if not one.in_use:
            going.append(one.path)
            total -= one.size
    return going


def remove_unused(root: Path, path: Path, *, building: bool = False) -> bool:
    """Delete one folder, unless somebody uses or builds it: then False.

    building: the caller holds the lock on building it.
    Raises: ValueError for a path that is not one of ours below the root; OSError.
    """
    name = FolderName.parse(path)
    if name is None or path.parent != root:
        raise ValueError(f"not one of our environments: {path}")
    with ExitStack() as stack:
        # Without a record, somebody may just be building it.
        unfinished = read_record(path) is None and not name.own and not building
        lock = build_lock(root, name.fingerprint)
        if unfinished and not stack.enter_context(try_lock(lock)):
            return False
        if not stack.enter_context(try_lock(_use_lock(path))):
            return False
        retire(path)
        _delete(path)
        _use_lock(path).unlink(missing_ok=True)
    return True


def _delete(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():  # something in it was made read-only
        for folder, _, _ in os.walk(path):
            Path(folder).chmod(0o700)
        shutil.rmtree(path)


def remove_old_locks(root: Path, now: float, max_age: float) -> None:
    """Delete lock files that have no folder and that nobody has held for long."""
    folders = {path.name for path, _ in folders_in(root)}
    for path in _hidden(root):
        orphan = path.suffix == ".use" and path.stem[1:] not in folders
        old = _BUILD_LOCK.fullmatch(path.name) and now - _mtime(path) > max_age
        if orphan or old:
            with try_lock(path) as free:
                if free:
                    path.unlink(missing_ok=True)


def _hidden(root: Path) -> Iterator[Path]:
    try:
        yield from sorted(root.glob(".*"))
    except FileNotFoundError:
        return


def folder_size(folder: Path) -> int:
    """Bytes in its files, whether or not uv's own cache or a copy shares them."""
    total = 0
    below = [str(folder)]
    while below:
        try:
            with os.scandir(below.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # it changes while we look
            continue
    return total
