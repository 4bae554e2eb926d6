"""The error tree: one base class, a few leaves named by what happened.

Everything the package raises about the daemon, a kernel or a cell is a RuntimedError, and its text
is what a user reads. Knows nothing of wires, files or Trio.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AnotherDaemonRunning",
    "BlobStoreFull",
    "BlobTooLarge",
    "CellNotFound",
    "ConnectionFileUnusable",
    "ConnectionLost",
    "DaemonSilent",
    "DaemonUnreachable",
    "DocumentTooNew",
    "DocumentUnreadable",
    "EnvironmentBuildFailed",
    "KernelDied",
    "KernelNotFound",
    "KernelNotInstalled",
    "KernelNotStopped",
    "KernelStartFailed",
    "LocalProtocolError",
    "NoServiceManager",
    "NotTrusted",
    "NotebookUnreadable",
    "NothingSaid",
    "ProjectFileInvalid",
    "ProtocolError",
    "RemoteProtocolError",
    "RequestFailed",
    "RequirementRefused",
    "RoomClosed",
    "RuntimedError",
    "SaveRefused",
    "ScriptBlockInvalid",
    "ServiceFailed",
    "StateDirectoryUnusable",
    "TrustKeyUnusable",
]


class RuntimedError(Exception):
    """Base of every error this package raises on purpose; str() is the message for the user."""


class ProtocolError(RuntimedError):
    """Somebody broke the wire protocol. Raised only as one of its two leaves."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a bug, or a message too large to send."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol."""


class NothingSaid(RemoteProtocolError):
    """The peer closed the connection without a word, as one does that only looks who is there."""


class DaemonUnreachable(RuntimedError):
    """No daemon answers at the socket."""


class DaemonSilent(RuntimedError):
    """A daemon took a connection and did not answer in time.

    Shape: `pid` is that of the process behind `socket`, where it is known; `seconds` it was given.
    """

    def __init__(self, socket: str, pid: int | None = None, seconds: float = 0.0) -> None:
        who = f"pid {pid}, socket {socket}" if pid else f"socket {socket}"
        super().__init__(f"Connection timed out: the daemon ({who}) does not answer")
        self.socket = socket
        self.pid = pid
        self.seconds = seconds


class ConnectionLost(RuntimedError):
    """The connection to the daemon ended while it was needed."""

    def __init__(self, message: str = "Connection to daemon lost") -> None:
        super().__init__(message)


class RequestFailed(RuntimedError):
    """The daemon answered a request with an error; the message is the daemon's."""


class CellNotFound(RuntimedError):
    """No cell of that id is in the document."""

    def __init__(self, cell_id: str) -> None:
        super().__init__(f"Cell not found: {cell_id}")
        self.cell_id = cell_id


class ConnectionFileUnusable(RuntimedError):
    """A Jupyter connection file can't be used; the message says why."""


class DocumentUnreadable(RuntimedError):
    """Bytes that should be a notebook document are not."""


class DocumentTooNew(DocumentUnreadable):
    """A document of a later schema than this version knows; it must be left as it is."""


class NotebookUnreadable(RuntimedError):
    """A notebook file can't be opened as a notebook."""


class SaveRefused(RuntimedError):
    """Saving would have lost something, so nothing was written."""


class RoomClosed(RuntimedError):
    """The room was closed while something waited for it."""


class KernelDied(RuntimedError):
    """The kernel process ended without being asked to."""


class KernelNotFound(RuntimedError):
    """No kernel, or more than one, goes by the name that was given."""


class KernelNotInstalled(RuntimedError):
    """No kernelspec has the name that was given; the message names those there are."""


class KernelNotStopped(RuntimedError):
    """A kernel goes on running: it does not answer, and which process it is can't be told."""


class KernelStartFailed(RuntimedError):
    """The kernel process did not come up; the message carries the end of its output."""


class NotTrusted(RuntimedError):
    """What would be installed came with a file, and nobody has approved it on this machine."""


class TrustKeyUnusable(RuntimedError):
    """The key that signs approvals can't be read, made or relied on."""


class EnvironmentBuildFailed(RuntimedError):
    """Building an environment failed. `failed_package` names the culprit where it is known."""

    def __init__(self, message: str, failed_package: str | None = None) -> None:
        super().__init__(message)
        self.failed_package = failed_package


class RequirementRefused(RuntimedError):
    """An entry of a list of packages is none that may be installed; the message says which."""


class ScriptBlockInvalid(RuntimedError):
    """A notebook's PEP 723 block can't be used; the message names its cell and line."""


class ProjectFileInvalid(RuntimedError):
    """A project file can't be used as it is; the message names it, the place and the remedy."""


class BlobTooLarge(RuntimedError):
    """More bytes than one blob may have."""


class BlobStoreFull(RuntimedError):
    """Blobs can't reach the disk and too many wait in memory already."""


class AnotherDaemonRunning(RuntimedError):
    """The singleton lock is held by another daemon."""


class StateDirectoryUnusable(RuntimedError):
    """The daemon's directory can't be created, written or kept private."""


class NoServiceManager(RuntimedError):
    """No systemd or launchd of this user is there to be asked, as in most containers."""


class ServiceFailed(RuntimedError):
    """The service manager refused, or what it needs can't be written."""


def leaves(error: BaseException) -> Sequence[BaseException]:
    """The errors in a group, however deep; the error itself when it is no group."""
    nested = getattr(error, "exceptions", None)
    if nested is None:
        return [error]
    return [leaf for inner in nested for leaf in leaves(inner)]
