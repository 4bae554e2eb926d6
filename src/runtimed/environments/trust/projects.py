"""The project files that were approved on this machine. Blocking functions: run them in a thread.

A project file is remembered by its path and the digest of its content: one that was changed since
is asked for again. Several contents of one path are remembered, since branches have their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from runtimed.environments.locks import try_lock
from runtimed.environments.trust.private import make_private_folder
from runtimed.errors import RuntimedError
from runtimed.replacing import replace_file

__all__ = ["approve_project", "is_project_approved"]

#: Contents remembered of one path, and paths: those approved last.
_CONTENTS = 16
_PATHS = 1000

#: What else has a say, beside a project file. The lock file is none of them: uv itself writes it.
_BESIDE = {"pyproject.toml": ("uv.toml", ".python-version", "setup.py", "setup.cfg")}

#: Seconds to wait for another process that writes just now.
_PATIENCE = 5.0


def is_project_approved(store: Path, project: Path, content: bytes | None = None) -> bool:
    """Whether a project file was approved with this content, or as it is now.

    Raises: OSError if it can't be read.
    """
    digest = _digest(project, content)
    return digest in _read(store).get(_name(project), ())


def approve_project(store: Path, project: Path, content: bytes | None = None) -> None:
    """Remember a project file with this content, or as it is now.

    Raises: RuntimedError if the project file can't be read, or nothing can be remembered.
    """
    try:
        digest = _digest(project, content)
        make_private_folder(store.parent)
        with _locked(store.with_name(store.name + ".lock")):
            known = _read(store)
            name = _name(project)
            contents = [digest, *(other for other in known.pop(name, []) if other != digest)]
            newest = {name: contents[:_CONTENTS], **known}
            kept = dict(list(newest.items())[:_PATHS])
            replace_file(store, orjson.dumps({"projects": kept}))
    except OSError as error:
        raise RuntimedError(
            f"The approval of {project} can't be remembered: {error.strerror or error} "
            f"({error.filename or store}). Make {store.parent} writable for you"
        ) from error


def _digest(project: Path, content: bytes | None) -> str:
    digest = hashlib.sha256(project.read_bytes() if content is None else content)
    for name in _BESIDE.get(project.name, ()):
        with contextlib.suppress(OSError):
            found = (project.parent / name).read_bytes()
            digest.update(f"\0{name}\0{hashlib.sha256(found).hexdigest()}".encode())
    return digest.hexdigest()


def _name(project: Path) -> str:
    return os.path.realpath(project)


def _read(store: Path) -> dict[str, list[str]]:
    """What is remembered, newest first. Special cases: what can't be read is nothing."""
    try:
        projects = orjson.loads(store.read_bytes())["projects"]
        return {
            path: [digest for digest in digests if isinstance(digest, str)]
            for path, digests in projects.items()
            if isinstance(digests, list)
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with try_lock(path) as held:
            if held:
                yield
                return
        if time.monotonic() > deadline:
            raise TimeoutError(None, "another program holds it", str(path))
        time.sleep(0.02)
