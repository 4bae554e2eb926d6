"""The files of a kernel that we start: connection file, log, and a note of its process.

All are this user's alone. They lie in Jupyter's runtime folder under one name, so that who finds
one finds the others.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import attrs
import orjson

from runtimed.errors import ConnectionFileUnusable, KernelStartFailed
from runtimed.jupyter.connection_files import read_own_file
from runtimed.jupyter.words import ADJECTIVES, NOUNS
from runtimed.kernels.connection import CHANNELS, free_ports
from runtimed.kernels.registry import KernelRecord

__all__ = ["note_process", "noted_process", "remove_files", "write_files"]

#: What the names of such files begin with.
_PREFIX = "runt-kernel-"


def write_files(folder: Path, kernel_name: str) -> Path:
    """Make up a name, ports and a key, and write connection file and empty log; the file's path.

    Raises: KernelStartFailed if the folder can't be written.
    """
    ip, ports = free_ports()
    content = {f"{name}_port": port for name, port in zip(CHANNELS, ports, strict=True)} | {
        "transport": "tcp",
        "ip": ip,
        "key": secrets.token_hex(32),
        "signature_scheme": "hmac-sha256",
        "kernel_name": kernel_name,
    }
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            name = f"{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}"
            path = folder / f"{_PREFIX}{name}.json"
            try:
                _write_new(path, orjson.dumps(content))
                break
            except FileExistsError:
                continue
        log_of(path).unlink(missing_ok=True)
        _write_new(log_of(path), b"")
    except OSError as error:
        raise KernelStartFailed(f"{folder} can't be written: {error.strerror}") from error
    return path


def log_of(path: Path) -> Path:
    """What the process itself wrote."""
    return path.with_suffix(".log")


def note_process(path: Path, record: KernelRecord) -> None:
    """Write down which process a connection file's kernel is."""
    _process_of(path).unlink(missing_ok=True)
    _write_new(_process_of(path), orjson.dumps(attrs.asdict(record)))


def noted_process(path: Path) -> KernelRecord | None:
    """The process that was noted; it may have ended since.

    None if there is no note of ours: what anybody else may have laid there is not believed, for
    who stops a kernel ends the process that the note names.
    """
    if not _is_named_by_us(path):
        return None
    try:
        content = orjson.loads(read_own_file(_process_of(path)))
        return KernelRecord(int(content["pid"]), str(content["started"]), str(content["boot"]))
    except (ConnectionFileUnusable, ValueError, KeyError, TypeError):
        return None


def remove_files(path: Path) -> None:
    """Remove a connection file and what lies beside it; missing ones are fine."""
    path.unlink(missing_ok=True)
    if _is_named_by_us(path):
        _process_of(path).unlink(missing_ok=True)
        log_of(path).unlink(missing_ok=True)


def _is_named_by_us(path: Path) -> bool:
    return path.name.startswith(_PREFIX)


def _process_of(path: Path) -> Path:
    return path.with_suffix(".process")


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
