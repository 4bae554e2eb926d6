"""The key that signs on this machine. Blocking functions: run them in a thread.

Whoever knows the key can have packages installed, so it never leaves the machine and only its user
can read it, from its first moment on.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from runtimed.environments.trust.private import make_private_folder
from runtimed.environments.trust.signature import KEY_SIZE
from runtimed.errors import TrustKeyUnusable

__all__ = ["make_key", "read_key"]


def read_key(path: Path) -> bytes | None:
    """The key; None while there is none.

    Raises: TrustKeyUnusable naming the remedy.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    try:  # no file object, which can't be had of a folder
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise TrustKeyUnusable(f"The trust key {path} is no regular file: {_REMEDY}")
        if status.st_uid != os.getuid():
            raise TrustKeyUnusable(f"The trust key {path} belongs to another user: {_REMEDY}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise TrustKeyUnusable(
                f"The trust key {path} was open to others, who may know it: {_REMEDY}"
            )
        key = os.read(descriptor, KEY_SIZE + 1)
    finally:
        os.close(descriptor)
    if len(key) != KEY_SIZE:
        raise TrustKeyUnusable(f"Trust key file is corrupted (wrong size): {path}: {_REMEDY}")
    return key


def make_key(path: Path) -> bytes:
    """The key, made if there is none. Two that make it at once get the same one.

    Raises: TrustKeyUnusable naming the remedy.
    """
    if (key := read_key(path)) is not None:
        return key
    try:
        make_private_folder(path.parent)
        _make(path)
    except OSError as error:
        raise _unusable(path, error) from error
    made = read_key(path)
    if made is None:
        raise TrustKeyUnusable(f"The trust key {path} vanished while it was made. Try again")
    return made


def _make(path: Path) -> None:
    """Write a new key beside its place and link it there, unless another one has come first: so
    nobody ever reads a part of it."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_SIZE))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


_REMEDY = (
    "delete it, and a new one is made when you next approve a notebook "
    "(what was approved with it has to be approved again)"
)


def _unusable(path: Path, error: OSError) -> TrustKeyUnusable:
    return TrustKeyUnusable(
        f"The trust key {path} can't be used: {error.strerror or error}. "
        "Make it and its folder readable and writable for you"
    )
