"""The first frame of a connection, which picks its channel, and the daemon's reply to it.

Tag key: `channel`. The two replies have no tag; which one comes follows from the channel.
"""

from __future__ import annotations

from typing import Any

import attrs

from runtimed.protocol.spelling import Bare, Wire

__all__ = [
    "PROTOCOL",
    "PROTOCOL_VERSION",
    "Blob",
    "CreateNotebook",
    "Handshake",
    "NotebookConnectionInfo",
    "NotebookSync",
    "OpenNotebook",
    "Pool",
    "PoolStateSubscribe",
    "ProtocolCapabilities",
    "SettingsSync",
]

PROTOCOL = "v2"
PROTOCOL_VERSION = 2


class Pool(Bare):
    """Environment pool and administration."""

    __slots__ = ()


class SettingsSync(Bare):
    """Sync of the settings document."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class NotebookSync(Wire):
    """Join the room of that id, or create it. `initial_metadata` is JSON text.

    `follows_epochs`, here and below: whether this peer understands the broadcast `Epoch`.
    """

    notebook_id: str
    protocol: str | None = None
    working_dir: str | None = None
    initial_metadata: str | None = None
    follows_epochs: bool | None = None


class Blob(Bare):
    """Store blobs, ask for the HTTP port."""

    __slots__ = ()


class PoolStateSubscribe(Bare):
    """Be told about pool errors."""

    __slots__ = ()


@attrs.frozen(eq=False, repr=False)
class OpenNotebook(Wire):
    """Open or create a notebook file; the daemon derives the room's id from the path.

    Additions: `autosave` false, this peer does not want the file written unasked; `runtime`, what
    the notebook is for if there is none at that path yet.
    """

    path: str
    autosave: bool | None = None
    follows_epochs: bool | None = None
    runtime: str | None = None


@attrs.frozen(eq=False, repr=False)
class CreateNotebook(Wire):
    """A new untitled notebook, or one that was persisted under that id."""

    runtime: str
    working_dir: str | None = None
    notebook_id: str | None = None
    follows_epochs: bool | None = None


Handshake = (
    Pool | SettingsSync | NotebookSync | Blob | PoolStateSubscribe | OpenNotebook | CreateNotebook
)


@attrs.frozen(eq=False, repr=False)
class ProtocolCapabilities(Wire):
    """Reply to NotebookSync. With an `error`, nothing else follows."""

    protocol: str = PROTOCOL
    protocol_version: int | None = PROTOCOL_VERSION
    daemon_version: str | None = None
    error: str | None = None
    blob_port: int | None = None
    blob_root: str | None = None
    settings: dict[str, Any] | None = None


@attrs.frozen(eq=False, repr=False)
class NotebookConnectionInfo(Wire):
    """Reply to OpenNotebook and CreateNotebook. With an `error`, nothing else follows.

    `cell_count` is 0 while the file has still to be loaded.
    """

    notebook_id: str
    cell_count: int
    needs_trust_approval: bool
    protocol: str = PROTOCOL
    protocol_version: int | None = PROTOCOL_VERSION
    daemon_version: str | None = None
    error: str | None = None
    blob_port: int | None = None
    blob_root: str | None = None
    settings: dict[str, Any] | None = None
