"""The blob channel: bytes in, hashes out."""

from __future__ import annotations

from runtimed.blobs.store import BlobStore
from runtimed.daemon.link import Link
from runtimed.errors import RuntimedError
from runtimed.protocol import blob, events

__all__ = ["serve_blobs"]


async def serve_blobs(link: Link, store: BlobStore, port: int) -> None:
    """Store what comes until the client closes. A failed store keeps the connection."""
    while True:
        event = await link.next_event()
        if isinstance(event, events.Closed):
            return
        if isinstance(event, events.GetBlobPort):
            await link.send(events.BlobResponse(blob.Port(port=port)))
        elif isinstance(event, events.StoreBlob):
            try:
                digest = await store.put(event.data, event.media_type)
            except (RuntimedError, OSError) as error:
                await link.send(events.BlobResponse(blob.Failed(error=str(error))))
            else:
                await link.send(events.BlobResponse(blob.Stored(hash=digest)))
        elif isinstance(event, events.UnknownRequest):
            await link.send(events.BlobResponse(blob.Failed(error=event.error)))
