"""The phases of preparing an environment, as they appear inside `env_progress` broadcasts.

Tag key: `phase`; on the wire the fields stand flat beside the broadcast's own.
"""

from __future__ import annotations

import attrs

from runtimed.protocol.spelling import Bare, Wire, strings

__all__ = [
    "CacheHit",
    "CreatingVenv",
    "DownloadProgress",
    "Error",
    "FetchingRepodata",
    "InstallComplete",
    "Installing",
    "InstallingPackages",
    "LinkProgress",
    "Phase",
    "Ready",
    "RepodataComplete",
    "SolveComplete",
    "Solving",
    "Starting",
]


@attrs.frozen(eq=False, repr=False)
class Starting(Wire):
    """An environment with that fingerprint is wanted.

    elsewhere: True if another daemon is building it, and is waited for.
    """

    env_hash: str
    elsewhere: bool | None = None


@attrs.frozen(eq=False, repr=False)
class CacheHit(Wire):
    """It exists already."""

    env_path: str


@attrs.frozen(eq=False, repr=False)
class FetchingRepodata(Wire):
    """Asking the channels what they offer."""

    channels: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class RepodataComplete(Wire):
    """The channels have answered."""

    record_count: int
    elapsed_ms: int


@attrs.frozen(eq=False, repr=False)
class Solving(Wire):
    """Working out which packages go together."""

    spec_count: int


@attrs.frozen(eq=False, repr=False)
class SolveComplete(Wire):
    """The packages are known."""

    package_count: int
    elapsed_ms: int


@attrs.frozen(eq=False, repr=False)
class Installing(Wire):
    """Installation of that many packages begins."""

    total: int


@attrs.frozen(eq=False, repr=False)
class DownloadProgress(Wire):
    """Packages are being downloaded; `bytes_total` is None while it isn't known."""

    completed: int
    total: int
    current_package: str
    bytes_downloaded: int
    bytes_total: int | None
    bytes_per_second: float


@attrs.frozen(eq=False, repr=False)
class LinkProgress(Wire):
    """Packages are being put into the environment."""

    completed: int
    total: int
    current_package: str


@attrs.frozen(eq=False, repr=False)
class InstallComplete(Wire):
    """Everything is installed."""

    elapsed_ms: int


class CreatingVenv(Bare):
    """An empty environment is being made."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class InstallingPackages(Wire):
    """These requirements are being installed."""

    packages: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class Ready(Wire):
    """The environment can be used. Ends a sequence."""

    env_path: str
    python_path: str


@attrs.frozen(eq=False, repr=False)
class Error(Wire):
    """It could not be made. Ends a sequence."""

    message: str


Phase = (
    Starting
    | CacheHit
    | FetchingRepodata
    | RepodataComplete
    | Solving
    | SolveComplete
    | Installing
    | DownloadProgress
    | LinkProgress
    | InstallComplete
    | CreatingVenv
    | InstallingPackages
    | Ready
    | Error
)
