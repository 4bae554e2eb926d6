"""How the environment of a kernel comes to be, as a session hears it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from runtimed.errors import RuntimedError
from runtimed.protocol import broadcasts, progress

__all__ = ["EnvironmentProgress", "OnProgress", "Preparing"]


@attrs.frozen(kw_only=True, repr=False)
class EnvironmentProgress:
    """One step in preparing an environment.

    env_type: `uv`, `conda` or `deno`. phase: the tag of the step, such as `installing_packages` or
    `download_progress`; `ready` and `error` come last. message: what it means, for people.
    fraction: from 0 to 1 where that is known. details: the fields of the step by their names.
    """

    env_type: str
    phase: str
    message: str
    fraction: float | None = None
    details: dict[str, object] = attrs.field(factory=dict)

    def __repr__(self) -> str:
        return f"EnvironmentProgress({self.phase}: {self.message})"

    @classmethod
    def of(cls, news: broadcasts.EnvProgress) -> EnvironmentProgress:
        phase = news.phase
        return cls(
            env_type=news.env_type,
            phase=_tag(type(phase).__name__),
            message=_message(phase),
            fraction=_fraction(phase),
            details=_fields(phase),
        )


OnProgress = Callable[[EnvironmentProgress], object]


class Preparing:
    """Listens while a kernel is launched, and gives a launch that goes on its time: the deadline of
    `patience` moves with every step."""

    def __init__(self, patience: trio.CancelScope, seconds: float) -> None:
        self._patience = patience
        self._seconds = seconds

    def hear(self, broadcast: broadcasts.NotebookBroadcast) -> None:
        if isinstance(broadcast, broadcasts.EnvProgress):
            self._patience.deadline = trio.current_time() + self._seconds

    def end(self, error: RuntimedError) -> None:
        """The request that waits is told itself."""


def _tag(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]


def _fields(phase: progress.Phase) -> dict[str, object]:
    return dict(attrs.asdict(phase)) if attrs.has(type(phase)) else {}


def _message(phase: progress.Phase) -> str:
    if isinstance(phase, progress.Starting):
        if phase.elsewhere:
            return "Waiting for another daemon, which is building the environment"
        return "Looking for the environment"
    if isinstance(phase, progress.CacheHit):
        return "The environment is there"
    if isinstance(phase, progress.FetchingRepodata):
        return f"Asking {', '.join(phase.channels)}"
    if isinstance(phase, progress.RepodataComplete):
        return f"{phase.record_count:,} packages to choose from"
    if isinstance(phase, progress.Solving):
        return "Working out which packages go together"
    if isinstance(phase, progress.SolveComplete):
        return f"{phase.package_count} packages are needed"
    if isinstance(phase, progress.Installing):
        return f"Installing {phase.total} packages"
    if isinstance(phase, progress.DownloadProgress):
        speed = f", {phase.bytes_per_second / 1e6:.1f} MB/s" if phase.bytes_per_second else ""
        return f"Downloading {phase.current_package} ({phase.completed} of {phase.total}{speed})"
    if isinstance(phase, progress.LinkProgress):
        return f"Linking {phase.current_package} ({phase.completed} of {phase.total})"
    if isinstance(phase, progress.CreatingVenv):
        return "Creating the environment"
    if isinstance(phase, progress.InstallingPackages):
        return f"Installing {', '.join(phase.packages)}"
    if isinstance(phase, progress.InstallComplete):
        return "Everything is installed"
    if isinstance(phase, progress.Ready):
        return "The environment is ready"
    return phase.message


def _fraction(phase: progress.Phase) -> float | None:
    if isinstance(phase, progress.DownloadProgress) and phase.bytes_total:
        return min(1.0, phase.bytes_downloaded / phase.bytes_total)
    if isinstance(phase, (progress.DownloadProgress, progress.LinkProgress)) and phase.total:
        return min(1.0, phase.completed / phase.total)
    return None
