"""Which kernel somebody means by an id, the beginning of one, or a path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runtimed.errors import ConnectionFileUnusable, KernelNotFound
from runtimed.jupyter.connection_files import (
    ConnectionInfo,
    connection_files,
    kernel_id_of,
    read_connection_file,
)
from runtimed.jupyter.folders import runtime_folder

__all__ = ["connection_of", "own_connection_files"]


def connection_of(text: str, environ: Mapping[str, str] = os.environ) -> ConnectionInfo:
    """The connection of the kernel that is meant.

    A path is taken as it is. Otherwise an id, the name of a file, or the beginning of exactly one.

    Raises: KernelNotFound, ConnectionFileUnusable with the file's name.
    """
    return _read(_path_of(text, environ))


def own_connection_files(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """The files of kernels that `runt jupyter start` started, the newest first."""
    paths, _ = connection_files(runtime_folder(environ))
    return [path for path in paths if path.name.startswith("runt-")]


def _path_of(text: str, environ: Mapping[str, str]) -> Path:
    if os.sep in text:
        path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - links are refused
        if not os.path.lexists(path):
            raise KernelNotFound(f"No such connection file: {path}")
        return path
    paths, _ = connection_files(runtime_folder(environ))
    exact = [path for path in paths if text in (kernel_id_of(path), path.name, path.stem)]
    begin = [path for path in paths if text and kernel_id_of(path).startswith(text)]
    found = exact or begin
    if not found:
        if text.endswith(".json") and os.path.lexists(text):
            return Path(text).absolute()
        raise KernelNotFound(f"No such kernel: {text}")
    if len(found) > 1:
        names = ", ".join(sorted(path.name for path in found)[:5])
        raise KernelNotFound(f"Several kernels are meant by '{text}': {names}")
    return found[0]


def _read(path: Path) -> ConnectionInfo:
    try:
        return read_connection_file(path)
    except ConnectionFileUnusable as error:
        raise ConnectionFileUnusable(f"{path} can't be used: {error}") from error
