"""What a request wants fetched before its agent runs."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import trio

from runtimed.agents.messages import RuntimeEnvironmentDownloadableInterface
from runtimed.agents.runtime.archives import UnpackingFailed, is_tar, unpack_tar, unpack_zip
from runtimed.agents.runtime.http import HttpFailed, fetch
from runtimed.agents.runtime.settings import RuntimeSettings
from runtimed.errors import RuntimedError

__all__ = ["DownloadFailed", "download", "file_name"]

#: Longest time without any progress of a download.
_STALLED = 60.0


class DownloadFailed(RuntimedError):
    """A file could not be fetched or unpacked. The text begins with `Download failed:`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Download failed: {reason}")


def file_name(url: str) -> str:
    """The name under which a download is kept. Raises: DownloadFailed if it is none."""
    try:
        segment = urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        segment = ""
    name = unquote(segment, errors="replace")
    if name in ("", ".", "..") or any(each in name for each in "/\\\0") or len(name.encode()) > 255:
        raise DownloadFailed(f"bad file name {name[:200]!r}")
    return name


async def download(
    wanted: RuntimeEnvironmentDownloadableInterface, settings: RuntimeSettings
) -> None:
    """Fetch a file into its folder, and unpack it there if it is a zip.

    Written under another name and renamed: what is there under its own name is complete, and
    nothing is left of what failed or was cancelled.

    Raises: DownloadFailed.
    """
    name = file_name(wanted.download_url)
    folder = Path(wanted.working_dir)
    partial_file = folder / f".{name[:100]}.{os.urandom(6).hex()}.part"
    try:
        await trio.Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            with partial_file.open("xb") as file:
                # Writing goes to the page cache; a thread for each chunk would cost more.
                await fetch(
                    wanted.download_url,
                    file.write,
                    timeout=_STALLED,
                    max_bytes=settings.max_download_bytes,
                )
            unpack = None
            if name.lower().endswith(".zip"):
                unpack = unpack_zip
            elif settings.unpack_tars and is_tar(name):
                unpack = unpack_tar
            if unpack is None:
                partial_file.replace(folder / name)
                return
            await trio.to_thread.run_sync(
                partial(
                    unpack,
                    partial_file,
                    folder,
                    settings.max_unpacked_bytes,
                    trio.from_thread.check_cancelled,
                )
            )
        finally:
            partial_file.unlink(missing_ok=True)
    except (HttpFailed, UnpackingFailed, OSError) as error:
        raise DownloadFailed(str(error)) from error
