"""Removes blobs that nothing refers to any more. Knows documents as files in a folder, and open
notebooks as a function that tells what they mention."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import trio

from runtimed.blobs.store import BlobStore
from runtimed.own_programs import own_program

__all__ = ["BlobCollector"]

log = logging.getLogger(__name__)

#: Seconds between start and first look, and between two looks; less with a short grace time.
_FIRST = 300.0
_PERIOD = 1800.0

#: Gives the names that open notebooks mention.
Live = Callable[[], Awaitable[set[str]]]


class BlobCollector:
    """The task that looks for garbage now and then.

    A blob goes once two looks, `grace` seconds apart, found it unreferenced, and if it was not put
    in that time. Nothing is looked at while nothing was put since, and nothing waits for its time.
    """

    def __init__(
        self, store: BlobStore, documents: Path, marks: Path, live: Live, grace: float
    ) -> None:
        self._store = store
        self._documents = documents
        self._marks = marks
        self._live = live
        self._grace = grace
        self._put_count = -1
        self._next_due: float | None = None

    async def run(
        self, *, task_status: trio.TaskStatus[BlobCollector] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Collect. Started at once; runs until cancelled."""
        task_status.started(self)
        await trio.sleep(min(_FIRST, self._grace))
        while True:
            if self._store.put_count != self._put_count or self._is_due():
                await self.collect()
            await trio.sleep(min(_PERIOD, max(self._grace, 0.1)))

    def _is_due(self) -> bool:
        return self._next_due is not None and time.time() >= self._next_due

    async def collect(self) -> None:
        """Look once, and remove what may be removed."""
        began = trio.current_time()
        put_count = self._store.put_count
        found = await self._look(await self._live())
        if found is None:
            return
        if found["blocked"]:
            log.warning("no blobs collected, a document can't be read: %s", found["blocked"])
            return
        self._put_count, self._next_due = put_count, found["next_due"]
        put_before = time.time() - self._grace
        try:
            garbage = await self._still_garbage(found["garbage"])
        except OSError as error:
            log.error("no blobs collected, one can't be read: %s", error)
            return
        removed, size = await self._store.remove(garbage, put_before)
        log.info(
            "blobs collected removed=%d bytes=%d blobs=%d documents=%d read=%d seconds=%.2f",
            removed,
            size,
            found["present"] - removed,
            found["documents"],
            found["scanned"],
            trio.current_time() - began,
        )

    async def _still_garbage(self, names: Sequence[str]) -> Sequence[str]:
        """Less what an open notebook has come to mention meanwhile, and what that leads to.

        Raises: OSError if a manifest can't be read.
        """
        if not names:
            return names
        garbage = set(names)
        waiting = list(garbage & await self._live())
        while waiting:
            name = waiting.pop()
            garbage.discard(name)
            data = await self._store.load(name)
            if data is not None:
                from runtimed.document.mentions import mentioned_in_text

                waiting.extend(garbage & mentioned_in_text(data.decode("utf-8", "replace")))
        return sorted(garbage)

    async def _look(self, live: set[str]) -> dict[str, Any] | None:
        """Have a process of its own look at documents and blobs; None if it failed."""
        from runtimed.blobs.marking import Task

        task = Task(
            str(self._documents),
            str(self._store.root),
            str(self._marks),
            self._grace,
            sorted(live),
        )
        try:
            done = await trio.run_process(
                own_program("runtimed.blobs.marking"),
                stdin=orjson.dumps(attrs.asdict(task)),
                capture_stdout=True,
                capture_stderr=True,
                cwd=self._marks.parent,
            )
            found: dict[str, Any] = orjson.loads(done.stdout)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            words = getattr(error, "stderr", None) or b""
            reason = words.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
            log.error("no blobs collected, looking failed: %s", reason[0])
            return None
        return found
