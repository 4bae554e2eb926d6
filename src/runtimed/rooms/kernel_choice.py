"""What kernel a room's notebook asks for, whether it may have it, and where it works.

Gathers the facts; `resolve` decides, and the room's trust consents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import trio

from runtimed.document.notebook import NotebookDocument
from runtimed.document.settings_values import Settings
from runtimed.environments.projects.project_file import ProjectFile
from runtimed.environments.resolution import Situation, resolve
from runtimed.environments.situation import code_cells, project_files_above, this_platform
from runtimed.environments.wanted import Choice
from runtimed.rooms.trust import RoomTrust

__all__ = ["KernelChoice"]

#: How often a choice is made beside the document before one is made while nobody edits it.
_ATTEMPTS = 3


class ChoosingRoom(Protocol):
    """What a choice is made from."""

    document: NotebookDocument
    path: Path | None
    working_dir: Path | None
    trust: RoomTrust

    @property
    def settings(self) -> Settings: ...

    async def wait_loaded(self) -> None: ...


class KernelChoice:
    """Chooses for one room. `notebooks`: where untitled notebooks work that have no folder."""

    def __init__(self, room: ChoosingRoom, notebooks: Path, disk: trio.CapacityLimiter) -> None:
        self._room = room
        self._notebooks = notebooks
        self._disk = disk

    async def choose(
        self, kernel_type: str, env_source: str, search_from: Path | None, *, explicit: bool
    ) -> Choice:
        """The kernel to launch. `explicit`: somebody asked for it, which is consent to a project.

        search_from: where to look for project files; None means beside the notebook.
        Raises: RuntimedError that names the remedy; NotTrusted.
        """
        room = self._room
        await room.wait_loaded()
        await room.trust.refresh()
        folder = await self.folder(search_from)
        start = search_from or room.path or room.working_dir
        projects: tuple[ProjectFile, ...] = ()
        if start is not None:
            projects = await trio.to_thread.run_sync(project_files_above, start, limiter=self._disk)
        choice = await self._resolve(kernel_type, env_source, folder, projects)
        room.trust.check(choice)  # without an await since the document was read
        seen = next((file.content for file in projects if file.path == choice.origin), None)
        await room.trust.check_project(choice, explicit=explicit, content=seen)
        return choice

    async def _resolve(
        self,
        kernel_type: str,
        env_source: str,
        folder: Path,
        projects: tuple[ProjectFile, ...],
    ) -> Choice:
        """The choice for the document as it is when this returns."""
        for _ in range(_ATTEMPTS if projects else 0):
            heads = self._room.document.heads
            situation = self._situation(kernel_type, env_source, folder, projects)
            # In a thread, since a large project file takes its time.
            choice = await trio.to_thread.run_sync(resolve, situation, limiter=self._disk)
            if self._room.document.heads == heads:
                return choice
        return resolve(self._situation(kernel_type, env_source, folder, projects))

    def _situation(
        self,
        kernel_type: str,
        env_source: str,
        folder: Path,
        projects: tuple[ProjectFile, ...],
    ) -> Situation:
        settings, document = self._room.settings, self._room.document
        ids = document.cell_ids()
        return Situation(
            snapshot=document.metadata_snapshot(),
            cells=code_cells((document.cell_type(id_), document.source(id_)) for id_ in ids),
            project_files=projects,
            kernel_type=kernel_type,
            env_source=env_source,
            default_runtime=settings.default_runtime,
            default_python_env=settings.default_python_env,
            folder=folder,
            platform=this_platform(),
        )

    async def folder(self, search_from: Path | None) -> Path:
        """Where the kernel works; made if it is the folder for untitled notebooks."""
        return await trio.to_thread.run_sync(self._folder, search_from, limiter=self._disk)

    def _folder(self, search_from: Path | None) -> Path:
        for candidate in (self._room.path, search_from):
            if candidate is not None:
                folder = candidate if candidate.is_dir() else candidate.parent
                if folder.is_dir():
                    return folder
        if self._room.working_dir is not None and self._room.working_dir.is_dir():
            return self._room.working_dir
        try:
            self._notebooks.mkdir(parents=True, exist_ok=True)
        except OSError:
            return Path("/tmp")
        return self._notebooks
