"""Blob files on disk: where one lies, how it gets there whole, what a crash leaves behind.

Plain blocking functions, called in worker threads. Knows nothing of Trio, of waiting blobs or of
HTTP.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

import attrs
import orjson

__all__ = [
    "DEFAULT_MEDIA_TYPE",
    "BlobMeta",
    "BlobWriter",
    "blob_path",
    "is_blob_hash",
    "read_blob",
    "read_meta",
    "read_piece",
    "remove_blob",
    "remove_stale_files",
    "sync_files",
]

log = logging.getLogger(__name__)

DEFAULT_MEDIA_TYPE = "application/octet-stream"

#: Seconds after which a temporary file is nobody's, whatever process its name mentions.
STALE_AGE = 3600.0

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_SHARD = re.compile(r"[0-9a-f]{2}\Z")
_EMPTY_HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@attrs.frozen
class BlobMeta:
    """What the sidecar says of a blob. `created_at` is RFC 3339 text in UTC, `size` is in bytes."""

    media_type: str
    size: int
    created_at: str

    @classmethod
    def now(cls, media_type: str, size: int) -> BlobMeta:
        """Of a blob that comes into being at this moment."""
        return cls(media_type, size, _rfc3339(time.time()))


def is_blob_hash(text: str) -> bool:
    """Whether this is 64 lower-case hex digits, the only names a blob can have."""
    return _HASH.match(text) is not None


def blob_path(root: Path, blob_hash: str) -> Path:
    """Where the bytes of a blob lie. The sidecar lies beside it, with `.meta` appended.

    Raises: ValueError if this isn't a blob's hash; so no text can lead out of the root.
    """
    if not is_blob_hash(blob_hash):
        raise ValueError(f"not a blob hash: {blob_hash!r}")
    return root / blob_hash[:2] / blob_hash[2:]


def read_blob(root: Path, blob_hash: str) -> bytes | None:
    """The bytes of a blob; None if there is none."""
    try:
        with blob_path(root, blob_hash).open("rb", buffering=0) as file:
            data = file.read()
    except FileNotFoundError:
        return None
    # A power cut can leave a renamed file without its bytes. That is no blob.
    return data if data or blob_hash == _EMPTY_HASH else None


def read_piece(root: Path, blob_hash: str, start: int, length: int) -> bytes:
    """Some bytes of a blob on disk; fewer than asked for at its end.

    Opens the file each time: blobs don't change, so nothing has to be held, or closed, in between.
    Raises: OSError.
    """
    with blob_path(root, blob_hash).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), length, start)


def read_meta(root: Path, blob_hash: str) -> BlobMeta | None:
    """What is known of a blob on disk; None if there is none.

    A blob without a readable sidecar is still a blob, of the default media type.
    """
    path = blob_path(root, blob_hash)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    media_type, created_at = DEFAULT_MEDIA_TYPE, _rfc3339(status.st_mtime)
    try:
        sidecar = orjson.loads(path.with_name(path.name + ".meta").read_bytes())
        media_type = str(sidecar["media_type"])
        created_at = str(sidecar["created_at"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return BlobMeta(media_type, status.st_size, created_at)


class BlobWriter:
    """Puts blobs under their names, each whole or not at all.

    Both files are written beside their targets and renamed, the sidecar first: where a blob's name
    exists its bytes are complete and its media type is known, whenever the process was killed.
    Several writers, in several processes, can put the same blob at once.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._temporary = f".tmp.{os.getpid()}.{secrets.token_hex(8)}"
        self._count = 0

    def write(self, blob_hash: str, data: bytes, media_type: str) -> str | None:
        """Write one blob. Returns its path, or None if it was there already and now is as new.

        The first media type wins. A file of another length under the blob's name is replaced.
        Raises: OSError, after which nothing of the attempt is left.
        """
        shard = f"{self._root}/{blob_hash[:2]}"
        target = f"{shard}/{blob_hash[2:]}"
        sidecar = target + ".meta"
        if _has_length(target, len(data)) and os.path.exists(sidecar):  # noqa: PTH110
            os.utime(target)  # put anew: its age begins again, and with it its time to live
            return None
        # A kernel can send lone surrogates, which have no UTF-8.
        media_type = media_type.encode("utf-8", "replace").decode()
        meta = BlobMeta.now(media_type, len(data))
        self._count += 1
        temporary = f"{shard}/{self._temporary}.{self._count}"
        renames = [(temporary + ".meta", sidecar), (temporary, target)]
        try:
            try:
                _create(temporary, data)
            except FileNotFoundError:
                _make_private(shard)
                _create(temporary, data)
            _create(temporary + ".meta", orjson.dumps(attrs.asdict(meta)))
            for source, final in renames:
                os.replace(source, final)  # noqa: PTH105
        except BaseException:
            for source, _ in renames:
                try:
                    os.unlink(source)  # noqa: PTH108
                except OSError:
                    pass
            raise
        return target


def remove_blob(root: Path, blob_hash: str, put_before: float) -> int | None:
    """Remove a blob and its sidecar; the bytes that gives. None if it was put since, or is gone.

    The blob goes first: a sidecar alone, as a crash may leave it, is no blob.
    Units: put_before in seconds since 1970.
    Raises: OSError.
    """
    path = blob_path(root, blob_hash)
    sidecar = path.with_name(path.name + ".meta")
    size = 0
    try:
        status = path.stat()
        size = status.st_size
    except FileNotFoundError:
        try:
            status = sidecar.stat()
        except FileNotFoundError:
            return None
    if status.st_mtime >= put_before:
        return None
    path.unlink(missing_ok=True)
    sidecar.unlink(missing_ok=True)
    return size


def sync_files(paths: Iterable[str]) -> None:
    """Ask the operating system to bring files to stable storage. What has gone is passed over."""
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("blob not synced path=%s error=%s", path, error)


def remove_stale_files(root: Path, now: float) -> int:
    """Remove the temporary files of processes that are gone. Returns how many.

    Stale is: the process in the name doesn't exist any more, or the file is over an hour old (the
    process id may be another's by now, and other programs' temporary files name none).
    """
    removed = 0
    try:
        shards = [entry.path for entry in os.scandir(root) if _SHARD.match(entry.name)]
    except OSError:
        return 0
    for shard in shards:
        try:
            leftovers = [entry for entry in os.scandir(shard) if entry.name.startswith(".tmp.")]
        except OSError:
            continue
        for entry in leftovers:
            try:
                age = now - entry.stat(follow_symlinks=False).st_mtime
                if age > STALE_AGE or _writer_is_gone(entry.name):
                    os.unlink(entry.path)  # noqa: PTH108
                    removed += 1
            except OSError:
                continue
    return removed


def _writer_is_gone(name: str) -> bool:
    process = name.split(".")[2]
    if not (process.isascii() and process.isdigit() and len(process) < 10 and int(process) > 0):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _has_length(path: str, length: int) -> bool:
    try:
        return os.stat(path).st_size == length  # noqa: PTH116
    except FileNotFoundError:
        return False


def _create(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def _make_private(shard: str) -> None:
    root = os.path.dirname(shard)  # noqa: PTH120
    # makedirs() gives its mode to the last directory alone; those above are the daemon's own care.
    os.makedirs(root, 0o700, exist_ok=True)  # noqa: PTH103
    os.makedirs(shard, 0o700, exist_ok=True)  # noqa: PTH103


def _rfc3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
