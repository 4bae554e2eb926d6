"""What the daemon tells every peer of a room. Tag key: `event`.

They are hints: the document has the last word on outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from runtimed.protocol.progress import Phase
from runtimed.protocol.spelling import NULL, SignedInt, Wire, strings
from runtimed.protocol.structures import (
    CellSnapshot,
    CommSnapshot,
    EnvSyncDiff,
    byte_strings,
    cell_snapshots,
)

__all__ = [
    "Comm",
    "CommSync",
    "DisplayUpdate",
    "EnvProgress",
    "EnvSyncState",
    "Epoch",
    "ExecutionDone",
    "ExecutionStarted",
    "FileChanged",
    "InputDone",
    "InputRequest",
    "KernelError",
    "KernelStatus",
    "NotebookBroadcast",
    "Output",
    "OutputsCleared",
    "QueueChanged",
]


def comm_snapshots(comms: Iterable[CommSnapshot]) -> tuple[CommSnapshot, ...]:
    """Any iterable of widget channels as a tuple."""
    return tuple(comms)


@attrs.frozen(eq=False, repr=False)
class KernelStatus(Wire):
    """The kernel's state changed, because of that cell if there is one."""

    status: str
    cell_id: str | None = attrs.field(default=None, metadata=NULL)


@attrs.frozen(eq=False, repr=False)
class ExecutionStarted(Wire):
    """The kernel has begun with a cell."""

    cell_id: str
    execution_count: SignedInt
    execution_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class Output(Wire):
    """A cell has a new output, or a changed one at `output_index`.

    `output_json` is the manifest's hash; `manifest` the manifest itself as JSON text, so that
    nobody needs to fetch it.
    """

    cell_id: str
    output_type: str
    output_json: str
    output_index: int | None = None
    execution_id: str | None = None
    manifest: str | None = None


@attrs.frozen(eq=False, repr=False)
class DisplayUpdate(Wire):
    """An output that was displayed under an id has new content."""

    display_id: str
    data: dict[str, Any]
    metadata: dict[str, Any]


@attrs.frozen(eq=False, repr=False)
class ExecutionDone(Wire):
    """An execution has ended; `reason` says in words why one died with its kernel."""

    cell_id: str
    execution_id: str | None = None
    outcome: str | None = None
    reason: str | None = None


@attrs.frozen(eq=False, repr=False)
class QueueChanged(Wire):
    """Ids of the running cell and of those that wait."""

    executing: str | None
    queued: tuple[str, ...] = attrs.field(converter=strings)


@attrs.frozen(eq=False, repr=False)
class KernelError(Wire):
    """The kernel died."""

    error: str


@attrs.frozen(eq=False, repr=False)
class OutputsCleared(Wire):
    """A cell's outputs were emptied on request."""

    cell_id: str


@attrs.frozen(eq=False, repr=False)
class Comm(Wire):
    """Widget traffic: of the kernel, and state that another peer has set.

    `content` is that of the Jupyter message.
    """

    msg_type: str
    content: dict[str, Any]
    buffers: tuple[bytes, ...] = attrs.field(default=(), converter=byte_strings)


@attrs.frozen(eq=False, repr=False)
class CommSync(Wire):
    """Every open widget channel, in order of creation: what a peer held before is void.

    With `continues`, these belong to those of the message before.
    """

    comms: tuple[CommSnapshot, ...] = attrs.field(converter=comm_snapshots)
    continues: bool | None = None


@attrs.frozen(eq=False, repr=False)
class InputRequest(Wire):
    """A running cell asks for a line of text; sent only to peers that can answer."""

    request_id: str
    cell_id: str
    execution_id: str
    prompt: str
    password: bool


@attrs.frozen(eq=False, repr=False)
class InputDone(Wire):
    """That question was answered, or nobody waits for its answer any more."""

    request_id: str


@attrs.frozen(eq=False, repr=False)
class FileChanged(Wire):
    """The notebook file was edited by somebody else and merged; these are all the cells."""

    cells: tuple[CellSnapshot, ...] = attrs.field(converter=cell_snapshots)
    metadata: str | None = None


@attrs.frozen(eq=False, repr=False)
class EnvProgress(Wire):
    """An environment is being prepared."""

    env_type: str
    phase: Phase


@attrs.frozen(eq=False, repr=False)
class EnvSyncState(Wire):
    """Whether the running environment still matches the notebook's dependencies."""

    in_sync: bool
    diff: EnvSyncDiff | None = None


@attrs.frozen(eq=False, repr=False)
class Epoch(Wire):
    """The document has begun anew, with the same content and no history.

    `heads`: what the daemon had of this peer's edits then. Only peers that can follow hear this.
    """

    epoch: int
    heads: tuple[str, ...] = attrs.field(converter=strings)


NotebookBroadcast = (
    KernelStatus
    | ExecutionStarted
    | Output
    | DisplayUpdate
    | ExecutionDone
    | QueueChanged
    | KernelError
    | OutputsCleared
    | Comm
    | CommSync
    | InputRequest
    | InputDone
    | FileChanged
    | EnvProgress
    | EnvSyncState
    | Epoch
)
