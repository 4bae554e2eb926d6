"""A running kernel's environment beside what its notebook lists now: telling the difference, and
installing what was added.
"""

from __future__ import annotations

import logging
from typing import Protocol

import attrs
import trio

from runtimed.document.cell_index import Touched
from runtimed.document.notebook import NotebookDocument
from runtimed.environments.drift import drift
from runtimed.environments.hot_install import install_more
from runtimed.environments.situation import code_cells
from runtimed.environments.wanted import UvPackages
from runtimed.errors import CellNotFound, RuntimedError
from runtimed.protocol import broadcasts, progress, responses
from runtimed.protocol.structures import EnvSyncDiff
from runtimed.rooms.execution import CellRunner, LaunchedKernel
from runtimed.rooms.trust import RoomTrust

__all__ = ["EnvironmentSync"]

log = logging.getLogger(__name__)

#: Seconds between an edit of what is listed and the news of it: edits come in flocks.
_GATHER = 0.1

#: What the lines of a script block begin with, and those of nothing else.
_MARK = "# ///"

_NO_DIFFERENCE = EnvSyncDiff()


class SyncedRoom(Protocol):
    """What this needs of a room."""

    notebook_id: str
    document: NotebookDocument
    runner: CellRunner
    trust: RoomTrust

    def broadcast(self, message: broadcasts.NotebookBroadcast) -> None: ...


class EnvironmentSync:
    """Of one room."""

    def __init__(self, room: SyncedRoom) -> None:
        self._room = room
        self._look = trio.Event()
        self._blocks: set[str] = set()  # cells that had, or may have had, a script block
        self._blocks_of: str | None = None  # the launch at which all cells were looked through
        self._told = _NO_DIFFERENCE  # what the peers heard last
        self._installing = trio.Lock()
        self._nursery: trio.Nursery

    # ------------------------------------------------------------------ drift

    def touched(self, touched: Touched) -> None:
        """A peer has changed the document. Cost: that of reading the cells it touched."""
        if self._room.runner.kernel is not None and (
            touched.metadata or any(self._has_block(cell_id) for cell_id in touched.cells)
        ):
            self._look.set()

    def look(self) -> None:
        """What is listed may have changed, or a kernel has been launched."""
        self._look.set()

    def _has_block(self, cell_id: str) -> bool:
        try:
            found = _MARK in self._room.document.source(cell_id)
        except CellNotFound:
            found = False
        had = cell_id in self._blocks
        if found:
            self._blocks.add(cell_id)
        else:
            self._blocks.discard(cell_id)
        return found or had

    async def run(self) -> None:
        """Tell the peers when a difference comes or goes. Runs until cancelled."""
        async with trio.open_nursery() as self._nursery:
            while True:
                await self._look.wait()
                await trio.sleep(_GATHER)
                self._look = trio.Event()
                self._tell()

    def _tell(self) -> None:
        launched = self._room.runner.kernel
        if launched is None:
            return
        found = self._difference(launched) or _NO_DIFFERENCE
        if found != self._told:
            self._told = found
            in_sync = found == _NO_DIFFERENCE
            self._room.broadcast(broadcasts.EnvSyncState(in_sync, None if in_sync else found))

    def _difference(self, launched: LaunchedKernel) -> EnvSyncDiff | None:
        document = self._room.document
        launch = launched.launched_config.launch_id
        if self._blocks_of != launch:
            self._blocks = {id_ for id_ in document.cell_ids() if _MARK in document.source(id_)}
            self._blocks_of = launch
        blocks = [id_ for id_ in document.cell_ids() if id_ in self._blocks]
        return drift(
            launched.launched_config,
            launched.env_source,
            document.metadata_snapshot(),
            code_cells((document.cell_type(id_), document.source(id_)) for id_ in blocks),
        )

    def note(self) -> str | None:
        """What to tell who wanted a kernel and finds one that runs; None if it is right."""
        launched = self._room.runner.kernel
        difference = None if launched is None else self._difference(launched)
        if difference is None or difference == _NO_DIFFERENCE:
            return None
        return (
            "The kernel was started before the notebook listed what it lists now "
            f"({_shown(difference)}): restart it to have that"
        )

    # ------------------------------------------------------------------ installing

    async def install(
        self,
    ) -> responses.SyncEnvironmentComplete | responses.SyncEnvironmentFailed:
        """Install into the running kernel's own environment what was added since its launch.

        Whoever asked may go away meanwhile: what was begun is finished.
        """
        answer: list[responses.SyncEnvironmentComplete | responses.SyncEnvironmentFailed] = []
        done = trio.Event()

        async def install() -> None:
            try:
                answer.append(await self._install())
            except Exception as error:
                log.exception("packages not installed")
                answer.append(_failed(f"Failed to install packages: {error!r}"))
            finally:
                done.set()

        self._nursery.start_soon(install)
        await done.wait()
        return answer[0] if answer else _failed("The notebook was closed", restart=False)

    async def _install(
        self,
    ) -> responses.SyncEnvironmentComplete | responses.SyncEnvironmentFailed:
        async with self._installing:
            launched = self._room.runner.kernel
            if launched is None:
                return _failed("No kernel running", restart=False)
            config = launched.launched_config
            environment = launched.kernel.spec.environment
            if config.uv_deps is None or environment is None:
                return _failed("Hot-sync only supported for UV inline dependencies")
            await self._room.trust.refresh()
            snapshot = self._room.document.metadata_snapshot()
            difference = self._difference(launched)
            if snapshot is None or difference is None:
                return _failed("Could not read notebook metadata", restart=False)
            if difference.removed:
                return _failed(
                    f"Cannot remove packages from running env: {list(difference.removed)}. "
                    "Restart required."
                )
            if difference.channels_changed:
                return _failed("Channel changes require restart")
            if not difference.added:
                return responses.SyncEnvironmentComplete(synced_packages=())
            try:
                self._room.trust.check_content()
            except RuntimedError as error:
                return _failed(str(error), restart=False)
            section = snapshot["runt"].get("uv") or {}
            before = UvPackages(config.uv_deps, prerelease=section.get("prerelease"))
            try:
                await install_more(environment, before, difference.added, self._report)
            except RuntimedError as error:
                return _failed(f"Failed to install packages: {error}")
            if self._room.runner.kernel is not launched:
                return _failed("The kernel ended while packages were installed into it")
            launched.launched_config = attrs.evolve(
                config, uv_deps=(*config.uv_deps, *difference.added)
            )
            self._look.set()
            log.info("packages installed packages=%s", ", ".join(difference.added))
            return responses.SyncEnvironmentComplete(synced_packages=difference.added)

    def _report(self, phase: progress.Phase) -> None:
        self._room.broadcast(broadcasts.EnvProgress(env_type="uv", phase=phase))


def _shown(difference: EnvSyncDiff) -> str:
    parts = [f"+{text}" for text in difference.added] + [f"-{text}" for text in difference.removed]
    if difference.channels_changed:
        parts.append("other channels")
    if difference.deno_changed:
        parts.append("another Deno configuration")
    return ", ".join(parts)


def _failed(error: str, *, restart: bool = True) -> responses.SyncEnvironmentFailed:
    return responses.SyncEnvironmentFailed(error=error, needs_restart=restart)
