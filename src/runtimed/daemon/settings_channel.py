"""The settings channel: sync messages of the settings document, both ways, until the end."""

from __future__ import annotations

import logging

import trio

from runtimed.daemon.link import Link
from runtimed.errors import RemoteProtocolError
from runtimed.protocol import events
from runtimed.settings.store import SettingsStore

__all__ = ["serve_settings"]

log = logging.getLogger(__name__)


async def serve_settings(link: Link, settings: SettingsStore) -> None:
    """Keep one peer in step, speaking first. Returns when the peer has left.

    Raises: RemoteProtocolError for what is no sync message; this channel has no words for it.
    """
    await settings.wait_loaded()
    peer = settings.join()
    fault: RemoteProtocolError | None = None
    try:
        async with trio.open_nursery() as connection:

            async def write() -> None:
                while True:
                    await peer.wait_behind()
                    while (message := settings.generate_sync(peer)) is not None:
                        await link.send(events.SyncMessage(message))

            connection.start_soon(write)
            try:
                while not isinstance(event := await link.next_event(), events.Closed):
                    settings.receive_sync(peer, event.data)
            except RemoteProtocolError as error:
                fault = error
            connection.cancel_scope.cancel()
    finally:
        settings.leave(peer)
    if fault is not None:  # not from inside the nursery, which would make a group of it
        raise fault
