"""Unpacking archives into a folder, and nowhere else. Blocking: called in a thread.

`check` is called between chunks; what it raises ends the unpacking.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from runtimed.errors import RuntimedError

__all__ = ["UnpackingFailed", "is_tar", "unpack_tar", "unpack_zip"]

_CHUNK = 1 << 20
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


class UnpackingFailed(RuntimedError):
    """An archive is broken, too large, or names what lies outside its folder."""


def is_tar(name: str) -> bool:
    return name.lower().endswith(_TAR_ENDINGS)


def unpack_zip(archive: Path, folder: Path, limit: int, check: Callable[[], None]) -> None:
    """Unpack over what is there, with permission bits and links as the archive has them.

    Nothing is written unless every name stays inside the folder. Units: limit in bytes, of all
    that is unpacked.

    Raises: UnpackingFailed, OSError.
    """
    root = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as file:
            entries = [(entry, _inside(root, entry.filename)) for entry in file.infolist()]
            links = []
            folders = _Folders(root)
            for entry, target in entries:
                check()
                mode = entry.external_attr >> 16
                if entry.is_dir():
                    folders.make(target)
                elif stat.S_ISLNK(mode):
                    if entry.file_size > 4096:
                        raise UnpackingFailed(f"link too long: {entry.filename!r}")
                    limit -= entry.file_size
                    links.append((target, os.fsdecode(file.read(entry))))
                else:
                    with file.open(entry) as source:
                        folders.make(target.parent)
                        limit = _write(target, source, limit, check)
                    if mode & 0o777:
                        target.chmod(mode & 0o777)
            # Last, so that nothing is written through one; each is checked against those before.
            for target, text in links:
                folders = _Folders(root)
                folders.make(target.parent)
                _link(root, target, text)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,  # a compression that Python does not have
        RuntimeError,  # a password
        UnicodeError,
        ValueError,
    ) as error:
        raise UnpackingFailed(f"not a usable zip file: {error}") from error


def _inside(root: Path, name: str) -> Path:
    """Where an entry of this name goes. Raises: UnpackingFailed if that is not below the root."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or parts[0][1:2] == ":":
        raise UnpackingFailed(f"entry leaves the folder: {name[:200]!r}")
    return root.joinpath(*(part for part in parts if part not in ("", ".")))


class _Folders:
    """Makes the folders of an archive below its root, and asks about each only once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made = {root}

    def make(self, folder: Path) -> None:
        """Raises: UnpackingFailed if that would happen outside the root, through a link."""
        if folder in self._made:
            return
        existing = folder
        while not existing.exists() and existing != self._root:
            existing = existing.parent
        if not existing.resolve().is_relative_to(self._root):
            raise UnpackingFailed(f"entry leaves the folder through a link: {folder.name[:200]!r}")
        folder.mkdir(parents=True, exist_ok=True)
        self._made.add(folder)


def _write(target: Path, source: IO[bytes], limit: int, check: Callable[[], None]) -> int:
    """Write a file; what is left of the limit."""
    if target.is_symlink():
        target.unlink()  # it is replaced, not what it points to
    with target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            check()
            limit -= len(chunk)
            if limit < 0:
                raise UnpackingFailed("larger than may be unpacked")
            file.write(chunk)
    return limit


def _link(root: Path, target: Path, text: str) -> None:
    if not text or "\0" in text or not (target.parent / text).resolve().is_relative_to(root):
        raise UnpackingFailed(f"link leaves the folder: {target.name[:200]!r}")
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    target.symlink_to(text)


class _Checked:
    """A file that asks before each read whether to go on."""

    def __init__(self, file: IO[bytes], check: Callable[[], None]) -> None:
        self._file = file
        self._check = check

    def read(self, size: int = -1) -> bytes:
        self._check()
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def unpack_tar(archive: Path, folder: Path, limit: int, check: Callable[[], None]) -> None:
    """Unpack a tar archive, compressed or not, as `unpack_zip` does a zip.

    Raises: UnpackingFailed, OSError.
    """
    if not hasattr(tarfile, "data_filter"):
        raise UnpackingFailed("this Python cannot unpack tar archives safely")
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=_Checked(raw, check)) as file:  # type: ignore[call-overload]
            for entry in file:
                check()
                limit -= entry.size
                if limit < 0:
                    raise UnpackingFailed("larger than may be unpacked")
                file.extract(entry, folder, filter="data")
    except (tarfile.TarError, zlib.error, EOFError, UnicodeError, ValueError) as error:
        raise UnpackingFailed(f"not a usable tar archive: {error}") from error
