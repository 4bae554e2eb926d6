"""From a notebook that is wanted to a connection whose replica is in step with the daemon.

Runs on Trio. Connects, starting a daemon where none answers, shakes hands, and waits for the
document.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import trio

from runtimed.client.connect import (
    CONNECT_TIMEOUT,
    LOOK_AGAIN,
    connect_nowait,
    ensure_daemon,
    is_nobody_there,
    unreachable,
)
from runtimed.client.link import Link
from runtimed.client.presence import Announcer
from runtimed.client.replica import Replica
from runtimed.client.resolve import OutputReader
from runtimed.client.results import NotebookConnectionInfo
from runtimed.document.settings_mirror import parse_mirror
from runtimed.document.settings_values import Settings, read_json_values
from runtimed.errors import (
    ConnectionLost,
    DaemonUnreachable,
    RemoteProtocolError,
    RequestFailed,
    RuntimedError,
)
from runtimed.paths import Paths, default_paths, settings_folder
from runtimed.protocol import events, handshake
from runtimed.protocol.connection import NEED_DATA, Connection, Role

__all__ = ["Hello", "open_link", "open_stream"]

Hello: TypeAlias = "handshake.NotebookSync | handshake.OpenNotebook | handshake.CreateNotebook"

#: Seconds for the daemon's reply to the handshake.
_REPLY_TIMEOUT = 30.0

#: Seconds until the document must be here; a large file is read and mapped in that time.
_DOCUMENT_TIMEOUT = 300.0

_CHUNK = 65_536


async def open_link(
    hello: Hello,
    peer_label: str | None,
    start: Callable[[Link], None],
    *,
    shield: bool = False,
) -> tuple[Link, NotebookConnectionInfo]:
    """Join a notebook's room.

    `start` must start `link.run` in a task. Returns the link once its replica holds all that the
    daemon's document held when it was asked.
    Raises: DaemonUnreachable; RequestFailed with the daemon's text if it can't open the notebook;
        RuntimedError "Connection timed out"; ConnectionLost.
    """
    hello = attrs.evolve(hello, follows_epochs=True)
    stream = await open_stream(default_paths())
    connection = Connection(Role.CLIENT)
    try:
        with trio.move_on_after(_REPLY_TIMEOUT) as limit:
            reply = await _shake_hands(stream, connection, hello)
        if limit.cancelled_caught:
            raise RuntimedError("Connection timed out")
        settings = await _settings(reply)
    except BaseException:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)
        raise
    root = Path(reply.blob_root) if reply.blob_root else None
    replica = Replica(peer_label)
    link = Link(
        stream,
        connection,
        replica,
        OutputReader(root, reply.blob_port),
        Announcer(peer_label, lambda cell_id: replica.document.source(cell_id)),
        shield=shield,
    )
    link.settings = settings
    start(link)
    try:
        await link.confirm(_DOCUMENT_TIMEOUT)
    except BaseException:
        await link.close()
        raise
    return link, _info(hello, reply, link)


async def open_stream(paths: Paths) -> trio.SocketStream:
    """Connect to the daemon, starting it if it isn't running and may be started.

    Raises: DaemonUnreachable.
    """
    give_up = trio.current_time() + CONNECT_TIMEOUT
    while True:
        try:
            connection = connect_nowait(paths)
        except BlockingIOError as error:
            if trio.current_time() >= give_up:
                raise DaemonUnreachable("Connection timeout") from error
            await trio.sleep(LOOK_AGAIN)
        except OSError as error:
            if paths.explicit or not is_nobody_there(error):
                raise unreachable(paths, error) from error
            paths = await trio.to_thread.run_sync(ensure_daemon, paths, abandon_on_cancel=True)
        else:
            return trio.SocketStream(trio.socket.from_stdlib_socket(connection))


async def _shake_hands(
    stream: trio.abc.Stream, connection: Connection, hello: Hello
) -> handshake.ProtocolCapabilities | handshake.NotebookConnectionInfo:
    try:
        await stream.send_all(connection.open(hello))
    except trio.BrokenResourceError:
        pass  # the daemon may have told why before it closed
    while True:
        try:
            while (event := connection.next_event()) is not NEED_DATA:
                if isinstance(
                    event, (handshake.ProtocolCapabilities, handshake.NotebookConnectionInfo)
                ):
                    if error := getattr(event, "error", None):
                        raise RequestFailed(error)
                    return event
                if isinstance(event, events.Closed):
                    raise ConnectionLost
            connection.receive_data(await stream.receive_some(_CHUNK))
        except RemoteProtocolError as error:
            raise RuntimedError(f"Protocol error: {error}") from error
        except trio.BrokenResourceError as error:
            raise ConnectionLost from error


async def _settings(
    reply: handshake.ProtocolCapabilities | handshake.NotebookConnectionInfo,
) -> Settings | None:
    """The user's settings: what the daemon says; an older one doesn't, but the file does."""
    if reply.settings is not None:
        return Settings.of(read_json_values(reply.settings))
    return await trio.to_thread.run_sync(read_settings_file, abandon_on_cancel=True)


def read_settings_file() -> Settings | None:
    """What the user's settings file says; None if it can't be read. Blocks."""
    try:
        content = parse_mirror((settings_folder() / "settings.json").read_bytes())
    except FileNotFoundError:
        content = {}
    except (OSError, ValueError):
        return None
    return Settings.of(read_json_values(content))


def _info(
    hello: Hello,
    reply: handshake.ProtocolCapabilities | handshake.NotebookConnectionInfo,
    link: Link,
) -> NotebookConnectionInfo:
    if isinstance(reply, handshake.NotebookConnectionInfo):
        notebook_id = reply.notebook_id
        cell_count = reply.cell_count
        needs_trust_approval = reply.needs_trust_approval
    else:
        assert isinstance(hello, handshake.NotebookSync)
        notebook_id = hello.notebook_id
        cell_count = len(link.replica.document)
        needs_trust_approval = False
    return NotebookConnectionInfo(
        notebook_id=notebook_id,
        cell_count=cell_count,
        needs_trust_approval=needs_trust_approval,
        protocol=reply.protocol,
        protocol_version=reply.protocol_version,
        daemon_version=reply.daemon_version,
    )
