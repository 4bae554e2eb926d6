"""What the daemon answers on a notebook channel. Tag key: `result`."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from runtimed.protocol.spelling import OMIT_EMPTY, Bare, Wire, called, strings
from runtimed.protocol.structures import (
    CompletionItem,
    HistoryEntry,
    LaunchedEnvConfig,
    SimilarName,
)

__all__ = [
    "AllCellsQueued",
    "CellQueued",
    "CompletionResult",
    "DocBytes",
    "Error",
    "Heads",
    "HistoryResult",
    "InterruptSent",
    "KernelAlreadyRunning",
    "KernelInfo",
    "KernelLaunched",
    "KernelShuttingDown",
    "LeftNotebook",
    "MetadataSet",
    "MetadataSnapshot",
    "NoKernel",
    "NotebookCloned",
    "NotebookResponse",
    "NotebookSaved",
    "Ok",
    "OutputsCleared",
    "QueueState",
    "RawMetadata",
    "SyncEnvironmentComplete",
    "SyncEnvironmentFailed",
    "SyncEnvironmentStarted",
    "TrustInfo",
]


def history_entries(entries: Iterable[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    """Any iterable of entries as a tuple."""
    return tuple(entries)


def similar_names(names: Iterable[SimilarName]) -> tuple[SimilarName, ...]:
    """Any iterable of names as a tuple."""
    return tuple(names)


def completion_items(items: Iterable[CompletionItem]) -> tuple[CompletionItem, ...]:
    """Any iterable of completions as a tuple."""
    return tuple(items)


@attrs.frozen(eq=False, repr=False)
class KernelLaunched(Wire):
    """A kernel was started."""

    kernel_type: str
    env_source: str
    launched_config: LaunchedEnvConfig
    #: What was asked for and is not done, each with the reason.
    notes: tuple[str, ...] = attrs.field(default=(), converter=strings, metadata=OMIT_EMPTY)


@attrs.frozen(eq=False, repr=False)
class KernelAlreadyRunning(Wire):
    """A kernel runs already, whatever was asked for."""

    kernel_type: str
    env_source: str
    launched_config: LaunchedEnvConfig
    #: What was asked for and is not done, each with the reason.
    notes: tuple[str, ...] = attrs.field(default=(), converter=strings, metadata=OMIT_EMPTY)


@attrs.frozen(eq=False, repr=False)
class CellQueued(Wire):
    """The cell waits or runs; its end will be announced under the execution's id."""

    cell_id: str
    execution_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class OutputsCleared(Wire):
    """The cell has no outputs any more."""

    cell_id: str


class InterruptSent(Bare):
    """The kernel was asked to interrupt."""

    __slots__ = ()


class KernelShuttingDown(Bare):
    """The kernel is stopped or about to be."""

    __slots__ = ()


class NoKernel(Bare):
    """There is no kernel to do that."""

    __slots__ = ()


class Ok(Bare):
    """Done."""

    __slots__ = ()


class MetadataSet(Bare):
    """The metadata was written."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class KernelInfo(Wire):
    """The room's kernel; `status` is `not_started` when there is none."""

    kernel_type: str | None
    env_source: str | None
    status: str


@attrs.frozen(eq=False, repr=False)
class QueueState(Wire):
    """Ids of the running cell and of those that wait."""

    executing: str | None
    queued: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class AllCellsQueued(Wire):
    """How many code cells were queued, and the execution of each (by cell id)."""

    count: int
    executions: dict[str, str] | None = None


@attrs.frozen(eq=False, repr=False)
class NotebookSaved(Wire):
    """The absolute path that was written."""

    path: str


@attrs.frozen(eq=False, repr=False)
class NotebookCloned(Wire):
    """The absolute path that was written."""

    path: str


@attrs.frozen(eq=False, repr=False)
class Error(Wire):
    """The request failed; the text is for people."""

    error: str


@attrs.frozen(eq=False, repr=False)
class HistoryResult(Wire):
    """What the kernel remembers."""

    entries: tuple[HistoryEntry, ...] = attrs.field(converter=history_entries)


@attrs.frozen(eq=False, repr=False)
class CompletionResult(Wire):
    """Completions for the text between two positions, in code points."""

    items: tuple[CompletionItem, ...] = attrs.field(converter=completion_items)
    cursor_start: int
    cursor_end: int


@attrs.frozen(eq=False, repr=False)
class SyncEnvironmentStarted(Wire):
    """Defined by the protocol, never sent."""

    packages: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class SyncEnvironmentComplete(Wire):
    """These packages were installed into the running environment."""

    synced_packages: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class SyncEnvironmentFailed(Wire):
    """The running environment could not be brought in line."""

    error: str
    needs_restart: bool


@attrs.frozen(eq=False, repr=False)
class DocBytes(Wire):
    """The saved document; on the wire `bytes`, an array of integers."""

    data: bytes = attrs.field(metadata=called("bytes"))


@attrs.frozen(eq=False, repr=False)
class RawMetadata(Wire):
    """The string, or None when there is none under that key."""

    value: str | None


@attrs.frozen(eq=False, repr=False)
class MetadataSnapshot(Wire):
    """JSON text, or None while the notebook has no metadata."""

    snapshot: str | None


@attrs.frozen(eq=False, repr=False)
class Heads(Wire):
    """Heads of the daemon's document, as hex strings."""

    heads: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class LeftNotebook(Wire):
    """The connection may be closed now."""

    kernel_stopped: bool


@attrs.frozen(eq=False, repr=False)
class TrustInfo(Wire):
    """What a notebook asks for, and whether that was approved on the daemon's machine.

    `status`: `no_dependencies`, `trusted`, `untrusted`, or `signature_invalid` for what was changed
    since it was approved. `content` names exactly this, for approving it.
    """

    status: str
    content: str
    uv_dependencies: tuple[str, ...] = attrs.field(converter=strings)
    conda_dependencies: tuple[str, ...] = attrs.field(converter=strings)
    conda_channels: tuple[str, ...] = attrs.field(converter=strings)
    script_dependencies: tuple[str, ...] = attrs.field(converter=strings)
    constraints: tuple[str, ...] = attrs.field(default=(), converter=strings, metadata=OMIT_EMPTY)
    similar_names: tuple[SimilarName, ...] = attrs.field(
        default=(), converter=similar_names, metadata=OMIT_EMPTY
    )


NotebookResponse = (
    KernelLaunched
    | KernelAlreadyRunning
    | CellQueued
    | OutputsCleared
    | InterruptSent
    | KernelShuttingDown
    | NoKernel
    | Ok
    | MetadataSet
    | KernelInfo
    | QueueState
    | AllCellsQueued
    | NotebookSaved
    | NotebookCloned
    | Error
    | HistoryResult
    | CompletionResult
    | SyncEnvironmentStarted
    | SyncEnvironmentComplete
    | SyncEnvironmentFailed
    | DocBytes
    | RawMetadata
    | MetadataSnapshot
    | Heads
    | LeftNotebook
    | TrustInfo
)
