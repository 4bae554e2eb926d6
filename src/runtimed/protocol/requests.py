"""What a client asks for on a notebook channel. Tag key: `action`.

A frame may also carry an `id`, which the response echoes; it belongs to events.Request, not to
the classes here.
"""

from __future__ import annotations

from typing import Any

import attrs

from runtimed.protocol.spelling import NULL, OMIT_EMPTY, Bare, SignedInt, Wire, strings
from runtimed.protocol.structures import optional_strings

__all__ = [
    "AnswerInput",
    "ApproveTrust",
    "ClearOutputs",
    "CloneNotebook",
    "Complete",
    "EditsMoved",
    "EnsureMetadata",
    "ExecuteCell",
    "FollowEpoch",
    "GetDocBytes",
    "GetHeads",
    "GetHistory",
    "GetKernelInfo",
    "GetMetadataSnapshot",
    "GetQueueState",
    "GetRawMetadata",
    "GetTrust",
    "InterruptExecution",
    "LaunchKernel",
    "LeaveNotebook",
    "NotebookRequest",
    "QueueCell",
    "RunAllCells",
    "SaveNotebook",
    "SendComm",
    "SetMetadataSnapshot",
    "SetRawMetadata",
    "SetStdin",
    "ShutdownKernel",
    "SyncEnvironment",
]


@attrs.frozen(eq=False, repr=False)
class LaunchKernel(Wire):
    """Start a kernel; `auto` or an empty string leaves the choice to the daemon."""

    kernel_type: str
    env_source: str
    notebook_path: str | None = attrs.field(default=None, metadata=NULL)


@attrs.frozen(eq=False, repr=False)
class QueueCell(Wire):
    """Run the given text under that cell's id. Deprecated: it bypasses the document."""

    cell_id: str
    code: str


@attrs.frozen(eq=False, repr=False)
class ExecuteCell(Wire):
    """Run a cell. Its source is read once the daemon's document contains these heads.

    With `alone` it is not queued while anything runs or waits: the answer is then QueueState.
    """

    cell_id: str
    heads: tuple[str, ...] | None = attrs.field(default=None, converter=optional_strings)
    alone: bool | None = None


@attrs.frozen(eq=False, repr=False)
class ClearOutputs(Wire):
    """Empty a cell's outputs and its execution count."""

    cell_id: str


class InterruptExecution(Bare):
    """Interrupt the running cell and drop the queued ones."""

    __slots__ = ()


class ShutdownKernel(Bare):
    """Stop the kernel."""

    __slots__ = ()


class GetKernelInfo(Bare):
    """Which kernel there is and how it does."""

    __slots__ = ()


class GetQueueState(Bare):
    """Which cells run and wait."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class RunAllCells(Wire):
    """Queue every code cell in document order."""

    heads: tuple[str, ...] | None = attrs.field(default=None, converter=optional_strings)


@attrs.frozen(eq=False, repr=False)
class SendComm(Wire):
    """Pass a whole Jupyter widget message to the kernel."""

    message: dict[str, Any]


@attrs.frozen(eq=False, repr=False)
class SetStdin(Wire):
    """Say whether this peer can answer what running cells ask for."""

    enabled: bool


@attrs.frozen(eq=False, repr=False)
class AnswerInput(Wire):
    """Answer a question; no value is the end of input."""

    request_id: str
    value: str | None = attrs.field(default=None, metadata=NULL)


@attrs.frozen(eq=False, repr=False)
class GetHistory(Wire):
    """Search the kernel's history; no pattern matches everything."""

    pattern: str | None
    n: SignedInt
    unique: bool


@attrs.frozen(eq=False, repr=False)
class Complete(Wire):
    """Complete code at a cursor position, counted in code points."""

    code: str
    cursor_pos: int


@attrs.frozen(eq=False, repr=False)
class SaveNotebook(Wire):
    """Write the notebook file, to its own place or to an absolute path."""

    format_cells: bool
    path: str | None = None


@attrs.frozen(eq=False, repr=False)
class CloneNotebook(Wire):
    """Write a copy to an absolute path; a file that is there is replaced only if that is asked."""

    path: str
    overwrite: bool = attrs.field(default=False, metadata=OMIT_EMPTY)


class GetTrust(Bare):
    """What the notebook asks for, and whether that was approved on the daemon's machine."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class ApproveTrust(Wire):
    """Approve what the notebook asks for; with `content`, of a TrustInfo, that and nothing else."""

    content: str | None = None


class SyncEnvironment(Bare):
    """Install what the notebook's dependencies gained into the running environment."""

    __slots__ = ()


class GetDocBytes(Bare):
    """The whole saved document."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class GetRawMetadata(Wire):
    """A string of the document's metadata."""

    key: str


@attrs.frozen(eq=False, repr=False)
class SetRawMetadata(Wire):
    """Write a string into the document's metadata."""

    key: str
    value: str


class GetMetadataSnapshot(Bare):
    """The notebook's metadata as JSON text."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class SetMetadataSnapshot(Wire):
    """Replace the notebook's metadata by this JSON text."""

    snapshot: str


class GetHeads(Bare):
    """The heads of the daemon's document, once the room is completely loaded."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class EnsureMetadata(Wire):
    """Put an object into the metadata, of the notebook or of a cell, unless there is one already.

    Two clients that both made it would make two, of which one is hidden with all that is in it.
    """

    cell_id: str | None = attrs.field(metadata=NULL)
    path: tuple[str, ...] = attrs.field(converter=strings)
    value: dict[str, Any]


@attrs.frozen(eq=False, repr=False)
class LeaveNotebook(Wire):
    """Announce the end of this connection; the only peer may have the kernel stopped first."""

    stop_kernel: bool


@attrs.frozen(eq=False, repr=False)
class FollowEpoch(Wire):
    """From here on all sync messages, both ways, are about the document of this epoch."""

    epoch: int


@attrs.frozen(eq=False, repr=False)
class EditsMoved(Wire):
    """A document with these heads has all that the sender had edited in earlier epochs.

    What was sent before it and names heads means those of an earlier epoch.
    """

    epoch: int
    heads: tuple[str, ...] = attrs.field(converter=strings)


NotebookRequest = (
    LaunchKernel
    | QueueCell
    | ExecuteCell
    | ClearOutputs
    | InterruptExecution
    | ShutdownKernel
    | GetKernelInfo
    | GetQueueState
    | RunAllCells
    | SendComm
    | SetStdin
    | AnswerInput
    | GetHistory
    | Complete
    | SaveNotebook
    | CloneNotebook
    | GetTrust
    | ApproveTrust
    | SyncEnvironment
    | GetDocBytes
    | GetRawMetadata
    | SetRawMetadata
    | GetMetadataSnapshot
    | SetMetadataSnapshot
    | GetHeads
    | EnsureMetadata
    | LeaveNotebook
    | FollowEpoch
    | EditsMoved
)
