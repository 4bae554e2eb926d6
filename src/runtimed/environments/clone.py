"""Copies of a template environment that cost directory entries instead of data.

Installed packages are hard-linked: installers replace files by unlinking and renaming, and Python
does the same with bytecode, so a clone can change without the template noticing. Whatever names
the template's own folder, or is edited in place by tools, is copied. Blocks: call it from a thread.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from runtimed.environments.directories import MARKER

__all__ = ["clone_environment"]

_NOT_LINKABLE = {
    errno.EXDEV,
    errno.EMLINK,
    errno.EPERM,
    errno.EACCES,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
}

#: Scripts and settings are far smaller; above are binaries and widget bundles.
_COPIED_UP_TO = 65536


def clone_environment(template: Path, clone: Path, checkpoint: Callable[[], None]) -> None:
    """Fill the folder `clone` with what is in `template`, as an environment of its own.

    checkpoint: called once a folder; what it raises ends the work half-way.
    Scripts keep their interpreter line, with the clone's folder in the place of the template's:
    the two names are of one length and differ in nothing that a shell would quote.
    """
    # Plain strings and os calls: a Path each would cost as much as the links themselves.
    names = (os.fsencode(template.name), os.fsencode(clone.name))
    below: list[tuple[str, str, bool]] = [(str(template), str(clone), False)]
    while below:
        source, target, installed = below.pop()
        checkpoint()
        cache = source.endswith("__pycache__")
        with os.scandir(source) as entries:
            for entry in entries:
                there = f"{target}/{entry.name}"
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.path), there)  # noqa: PTH115, PTH211
                elif entry.is_dir():
                    os.mkdir(there)  # noqa: PTH102
                    packages = installed or entry.name in ("site-packages", "dist-packages")
                    below.append((entry.path, there, packages))
                elif cache:
                    if entry.name.endswith(".pyc"):  # others are on their way to become one
                        _link(entry.path, there)
                elif installed and not entry.name.endswith(".pth"):
                    _link(entry.path, there)
                elif not entry.name.startswith(MARKER):
                    _copy(entry, there, names)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NOT_LINKABLE:
            raise
        shutil.copy2(source, target)


def _copy(entry: os.DirEntry[str], target: str, names: tuple[bytes, bytes]) -> None:
    if entry.stat().st_size > _COPIED_UP_TO and not _is_script(entry.path):
        _link(entry.path, target)
        return
    content = Path(entry.path).read_bytes()
    if names[0] in content:
        Path(target).write_bytes(content.replace(*names))
        shutil.copystat(entry.path, target)
    else:
        shutil.copy2(entry.path, target)


def _is_script(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(2) == b"#!"
