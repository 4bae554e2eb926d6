"""The folders of a connection whose files are uploaded: looking at them, announcing what is new.

Looks at the folders again and again instead of listening to the file system: what matters is that
nothing is missed when a request ends, and a look answers that.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from logging import Logger
from pathlib import Path
from time import perf_counter

import attrs
import trio

from runtimed.agents.artifact_changes import ArtifactChanges, Look
from runtimed.agents.ignore_rules import DEFAULT_RULES, IGNORE_FILE, IgnoreRules

__all__ = ["Artifacts", "look_at"]

#: Between two looks; and at least ten times what a look takes, so that large folders cost little.
_INTERVAL = 0.3
#: How long a file must stay as it is: while a request runs, and before a terminal.
_QUIET = 1.0
_QUIET_AT_END = 0.2
#: A session has ended when nothing has changed for this long.
_SILENCE = 1.0


@attrs.define
class _Folder:
    path: str
    pinned: IgnoreRules | None  #: the request's own rules; files on disk do not override them
    warned: bool = False


class Artifacts:
    """Watches the folders of one connection.

    `announce` is called with each path that is new, or has changed and come to rest.
    """

    def __init__(self, announce: Callable[[str], None], logger: Logger) -> None:
        self._announce = announce
        self._logger = logger
        self._folders: dict[str, _Folder] = {}
        self._changes = ArtifactChanges()
        self._looking = trio.Lock()
        self._cost = 0.0
        self._watched = trio.Event()
        self._looking_scope = trio.CancelScope()

    @property
    def watching(self) -> bool:
        return bool(self._folders)

    async def add(self, folder: str, ignore_content: str | None) -> None:
        """Watch a folder, which is made if need be. Its rules are those of the first time.

        Raises: OSError.
        """
        path = os.path.abspath(folder)  # noqa: PTH100, ASYNC240 - links stay as they are
        if path in self._folders:
            return
        await trio.Path(path).mkdir(parents=True, exist_ok=True)
        pinned = None if ignore_content is None else IgnoreRules.from_text(ignore_content)
        self._folders[path] = _Folder(path, pinned)
        self._watched.set()

    async def run(self) -> None:
        """Announce files once they have been at rest for a second. Runs until it is stopped."""
        with self._looking_scope:
            await self._watched.wait()
            while True:
                await self._look(_QUIET)
                await trio.sleep(max(_INTERVAL, 10 * self._cost))

    def stop(self) -> None:
        """Look no more."""
        self._looking_scope.cancel()

    async def flush(self) -> None:
        """Announce everything that is there. Returns when it is; what keeps changing keeps it."""
        while self.watching:
            await self._look(_QUIET_AT_END)
            if self._changes.at_rest:
                return
            await trio.sleep(_QUIET_AT_END / 2)

    async def drain(self, limit: float) -> None:
        """Announce late files until nothing has changed for a second, for at most so long."""
        if not self.watching or limit <= 0:
            return
        with trio.move_on_after(limit):
            silent_since = trio.current_time()
            while trio.current_time() - silent_since < _SILENCE:
                announced = await self._look(_QUIET_AT_END)
                if announced or not self._changes.at_rest:
                    silent_since = trio.current_time()
                await trio.sleep(0.1)

    async def _look(self, quiet: float) -> int:
        """Look at all folders once and announce what is settled; how many files that was."""
        async with self._looking:
            began = perf_counter()
            folders = list(self._folders.values())
            files = await trio.to_thread.run_sync(look_at, folders, self._logger)
            self._cost = perf_counter() - began
            now = trio.current_time()
            self._changes.seen(files, now)
            settled = self._changes.settled(now, quiet)
        for path in settled:
            self._announce(path)
        return len(settled)


# ---------------------------------------------------------------------- in a thread


def look_at(folders: list[_Folder], logger: Logger) -> dict[str, Look]:
    """All files of these folders that may be uploaded. Blocking."""
    found: dict[str, Look] = {}
    roots = [os.path.realpath(folder.path) for folder in folders]
    for folder in folders:
        rules = _rules(folder, logger)
        for path, look in _walk(folder.path, "", rules, roots):
            found.setdefault(path, look)
    return found


def _rules(folder: _Folder, logger: Logger) -> IgnoreRules:
    if folder.pinned is not None:
        return folder.pinned
    try:
        text = Path(folder.path, IGNORE_FILE).read_text(errors="replace")
    except OSError:
        if not folder.warned:
            folder.warned = True
            logger.warning(
                "No %s in %s: default ignore rules apply (%s)",
                IGNORE_FILE,
                folder.path,
                " ".join(DEFAULT_RULES),
            )
        return IgnoreRules(DEFAULT_RULES)
    return IgnoreRules.from_text(text)


def _walk(
    folder: str, relative: str, rules: IgnoreRules, roots: list[str]
) -> Iterator[tuple[str, Look]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return  # gone, or not ours to read
    for entry in entries:
        inside = f"{relative}{entry.name}"
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            if rules.ignores(inside, folder=is_folder):
                continue
            if is_folder:
                yield from _walk(entry.path, f"{inside}/", rules, roots)
                continue
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if not any(target.startswith(f"{root.rstrip('/')}/") for root in roots):
                    continue
            status = entry.stat()
        except OSError:
            continue  # it went while it was looked at
        if stat.S_ISREG(status.st_mode) and status.st_size > 0:
            yield entry.path, Look(status.st_size, status.st_mtime_ns, status.st_ino)
