"""What `runt trust` looks at and approves: a notebook's file, its room, its project file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from runt_cli.failure import Fail
from runt_cli.interruptible import run_interruptible
from runtimed.client.async_session import open_without_autosave
from runtimed.client.daemon_client import DaemonClient
from runtimed.client.opening import read_settings_file
from runtimed.client.results import SimilarName, TrustInfo
from runtimed.document.settings_values import Settings
from runtimed.environments.explanation import explain_choice
from runtimed.environments.resolution import resolve
from runtimed.environments.situation import gather_situation
from runtimed.environments.trust.files import TrustFiles
from runtimed.environments.trust.notebook_file import (
    TrustedFile,
    approve_file,
    read_trusted_file,
)
from runtimed.environments.trust.projects import approve_project, is_project_approved
from runtimed.environments.trust.standing import Standing
from runtimed.errors import DaemonUnreachable, RuntimedError

__all__ = ["Project", "Subject"]


@attrs.frozen
class Project:
    """The project file that the kernel's packages come from.

    `told` is what it asks for, as `runt env explain` has it; `problem` says why it can't be used.
    """

    path: Path | None = None
    content: bytes = b""
    approved: bool = False
    told: Mapping[str, Any] = attrs.field(factory=dict)
    problem: str | None = None

    @property
    def needs_approval(self) -> bool:
        return self.path is not None and not self.approved

    @property
    def packages(self) -> list[str]:
        """Every package that it names."""
        return [*self.told.get("packages", ()), *self.told.get("conda_packages", ())]


@attrs.frozen
class Subject:
    """A notebook, what it asks for, and whether that is approved.

    `is_open` says that the daemon has it open: then `info` is what the daemon says.
    """

    path: Path
    info: TrustInfo
    is_open: bool
    project: Project

    @classmethod
    def of(cls, notebook: str) -> Subject:
        """Raises: Fail for a notebook that is not there, RuntimedError."""
        path = Path(notebook).expanduser()
        if not path.exists():
            raise Fail(f"Notebook not found: {notebook}")
        path = path.resolve()
        files = TrustFiles.of_user()
        found = read_trusted_file(path, files)
        is_open = _is_open(path)
        info = _ask_daemon(path) if is_open else _info(found.standing)
        project = Project() if _has_packages(info) else _project(path, found, files)
        return cls(path, info, is_open, project)

    @property
    def needs_approval(self) -> bool:
        return self.info.needs_approval or self.project.needs_approval

    def approved(self) -> Subject:
        """Approve what was shown and nothing else. Raises: RuntimedError."""
        files = TrustFiles.of_user()
        info, project = self.info, self.project
        if info.needs_approval:
            if self.is_open:
                info = _ask_daemon(self.path, approve=info.content)
                # Saving brings it into the file, but nobody has to save.
                with contextlib.suppress(RuntimedError):
                    approve_file(self.path, files, info.content)
            else:
                info = _info(approve_file(self.path, files, info.content))
        if project.path is not None and not project.approved:
            approve_project(files.projects, project.path, project.content)
            project = attrs.evolve(project, approved=True)
        return attrs.evolve(self, info=info, project=project)


def _is_open(path: Path) -> bool:
    """Whether a daemon that runs has the notebook open. None is started for this."""
    try:
        return any(room["notebook_id"] == str(path) for room in DaemonClient().list_rooms())
    except DaemonUnreachable:
        return False


def _ask_daemon(path: Path, approve: str | None = None) -> TrustInfo:
    """What the notebook's room says, after approving the content of that digest if there is one."""

    async def ask() -> TrustInfo:
        async with await open_without_autosave(str(path), peer_label="runt") as session:
            if approve is None:
                return await session.trust_info()
            return await session.approve_trust(approve)

    return run_interruptible(ask)


def _has_packages(info: TrustInfo) -> bool:
    return info.status != "no_dependencies"


def _project(path: Path, found: TrustedFile, files: TrustFiles) -> Project:
    """The project file that decides for a notebook without packages of its own."""
    settings = read_settings_file() or Settings()
    cells = [(cell.cell_type, cell.source) for cell in found.file.cells]
    try:
        situation = gather_situation(found.file.snapshot, cells, path, settings)
        choice = resolve(situation)
        if choice.consent != "project" or choice.origin is None:
            return Project()
        content = next(f.content for f in situation.project_files if f.path == choice.origin)
        approved = is_project_approved(files.projects, choice.origin, content)
        told = explain_choice(choice, situation.project_files, settings)
        return Project(choice.origin, content, approved, told)
    except (OSError, RuntimedError) as error:
        return Project(problem=str(error))


def _info(standing: Standing) -> TrustInfo:
    content = standing.content
    return TrustInfo(
        status=standing.status,
        content=content.digest,
        uv_dependencies=content.uv_dependencies,
        conda_dependencies=content.conda_dependencies,
        conda_channels=content.conda_channels,
        script_dependencies=content.script_dependencies,
        constraints=content.constraints,
        similar_names=[
            SimilarName(package=found.package, similar_to=found.similar_to, distance=found.distance)
            for found in standing.similar_names
        ],
    )
