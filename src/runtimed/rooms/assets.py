"""Keeps `resolved_assets` of a room's markdown cells: the images they show, as blobs.

Cells are looked at when they may have changed, a moment later and together; what an image is and
which may be resolved is decided in document/assets.py. Files are read in threads.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import attrs
import trio

from runtimed.blobs.store import BlobStore
from runtimed.document.assets import (
    MAX_ASSET_SIZE,
    Attachment,
    RelativeFile,
    attached_image,
    image_references,
    may_have_images,
    resolvable,
)
from runtimed.document.notebook import NotebookDocument
from runtimed.errors import BlobStoreFull
from runtimed.outputs.attachments import image_blob
from runtimed.outputs.manifest import NewBlob, new_blob

__all__ = ["MarkdownAssets", "read_image"]

log = logging.getLogger(__name__)

#: Seconds between two looks, however fast somebody types.
_PAUSE = 0.5

#: Cells looked at before other tasks get their turn.
_AT_ONCE = 100

#: Files whose hash is remembered, so that typing reads none of them again.
_REMEMBERED = 4096


class AssetsRoom(Protocol):
    """What is needed of a room."""

    document: NotebookDocument
    path: Path | None

    def assets_resolved(self, assets: dict[str, dict[str, str]]) -> None: ...


@attrs.frozen
class Image:
    """An image file as it was read. `data` is None where the hash was known and is still right."""

    version: tuple[int, ...]
    hash: str
    data: bytes | None = attrs.field(repr=False)


class MarkdownAssets:
    """The images in the markdown cells of one room."""

    def __init__(self, room: AssetsRoom, blobs: BlobStore, disk: trio.CapacityLimiter) -> None:
        self._room = room
        self._blobs = blobs
        self._disk = disk
        self._waiting: dict[str, None] = {}
        self._news = trio.Event()
        self._files: dict[Path, Image] = {}

    def look_at(self, cell_ids: Iterable[str]) -> None:
        """Have cells looked at soon. Costs little for those that are no markdown."""
        document = self._room.document
        for cell_id in cell_ids:
            if cell_id in document and document.cell_type(cell_id) == "markdown":
                self._waiting[cell_id] = None
        if self._waiting:
            self._news.set()

    async def run(self) -> None:
        """Look at cells as they change. Runs until cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            cell_ids, self._waiting = list(self._waiting), {}
            for first in range(0, len(cell_ids), _AT_ONCE):
                await self._resolve(cell_ids[first : first + _AT_ONCE])
                await trio.lowlevel.checkpoint()
            await trio.sleep(_PAUSE)

    async def _resolve(self, cell_ids: list[str]) -> None:
        document = self._room.document
        found: dict[str, dict[str, str]] = {}
        for cell_id in cell_ids:
            if cell_id not in document:
                continue
            source = document.source(cell_id)
            known = document.resolved_assets(cell_id)
            if may_have_images(source):
                assets = await self._assets(source, document.attachments(cell_id), known)
                document = self._room.document  # it may have begun anew
                if cell_id not in document or document.source(cell_id) != source:
                    continue  # edited meanwhile, so it waits again
            elif not known:
                continue
            else:
                assets = {}
            if assets != known:
                found[cell_id] = assets
        if found:
            self._room.assets_resolved(found)

    async def _assets(self, source: str, attachments: Any, known: dict[str, str]) -> dict[str, str]:
        references = await trio.to_thread.run_sync(
            image_references, source, limiter=self._disk, abandon_on_cancel=True
        )
        assets = {}
        for reference in references:
            target = resolvable(reference)
            try:
                if isinstance(target, RelativeFile) and self._room.path is not None:
                    found = await self._file(self._room.path.parent, target, set(known.values()))
                elif isinstance(target, Attachment):
                    found = await self._attachment(attachments, target)
                else:
                    found = None
            except BlobStoreFull as error:
                log.warning("image not stored reference=%r error=%s", reference, error)
                found = None
            if found is not None:
                assets[reference] = found
        return assets

    async def _file(self, folder: Path, target: RelativeFile, known: set[str]) -> str | None:
        path = folder / target.path
        before = self._files.get(path)
        # A hash that no cell names any more may be that of a blob that is gone.
        before = before if before is not None and before.hash in known else None
        image = await trio.to_thread.run_sync(
            read_image, folder, target, before, limiter=self._disk, abandon_on_cancel=True
        )
        if image is None:
            return None
        if image.data is not None:
            await self._blobs.put(image.data, target.media_type, image.hash)
            if len(self._files) >= _REMEMBERED:
                self._files.clear()
            self._files[path] = attrs.evolve(image, data=None)
        return image.hash

    async def _attachment(self, attachments: Any, target: Attachment) -> str | None:
        found = attached_image(attachments, target.name)
        if found is None:
            return None
        image = await trio.to_thread.run_sync(
            image_blob, *found, self._blobs.reader(), limiter=self._disk, abandon_on_cancel=True
        )
        if isinstance(image, NewBlob):
            if len(image.data) > MAX_ASSET_SIZE:
                return None
            await self._blobs.put(image.data, image.media_type, image.hash)
            return image.hash
        return image


def read_image(folder: Path, target: RelativeFile, before: Image | None) -> Image | None:
    """Read an image below a folder; None if it is none of ours to show.

    That is one that lies elsewhere, by its path or by a link, is no regular file or too large.
    Blocking: for a thread.
    """
    try:
        root = os.path.realpath(folder)
        path = os.path.realpath(Path(root, target.path))
        if not Path(path).is_relative_to(root):
            return None
        # A pipe must not hold us up, nor a link that has appeared just now lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_ASSET_SIZE:
                return None
            version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if before is not None and before.version == version:
                return before
            data = file.read(MAX_ASSET_SIZE + 1)
    except (OSError, ValueError):
        return None
    if len(data) > MAX_ASSET_SIZE:
        return None
    return Image(version, new_blob(data, target.media_type).hash, data)
