"""Copies of a template environment that cost directory entries instead of data.

Installed packages are hard-linked: installers replace files by unlinking and renaming, and Python
does the same with bytecode, so a clone can change without the template noticing. Whatever names
the template's own folder, or is edited in place by tools, is copied. Blocks: call it from a thread.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from runtimed.environments.conda.prefixed import prefixed_files
from runtimed.environments.directories import MARKER

__all__ = ["clone_environment", "move_environment"]

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

_PACKAGES = frozenset({"site-packages", "dist-packages"})

#: Where a conda environment has scripts and settings. All else in it is packages.
_CONDA_COPIED = frozenset({"bin", "conda-meta", "etc"})


def clone_environment(template: Path, clone: Path, checkpoint: Callable[[], None]) -> None:
    """Fill the folder `clone` with what is in `template`, as an environment of its own.

    checkpoint: called once a folder; what it raises ends the work half-way.
    Scripts keep their interpreter line, with the clone's folder in the place of the template's:
    the two names are of one length and differ in nothing that a shell would quote.
    Raises: OSError; ValueError for a conda environment whose clone lies elsewhere or has a name of
    another length, since binaries have no room for that.
    """
    # Plain strings and os calls: a Path each would cost as much as the links themselves.
    names = (os.fsencode(template.name), os.fsencode(clone.name))
    prefixed = prefixed_files(template)
    if prefixed is not None and (template.parent, len(names[0])) != (clone.parent, len(names[1])):
        raise ValueError(f"{clone} can't be a copy of the conda environment {template}")
    edited = {f"{template}/{path}": mode for path, mode in (prefixed or {}).items()}
    below: list[tuple[str, str, bool]] = [(str(template), str(clone), False)]
    while below:
        source, target, installed = below.pop()
        checkpoint()
        cache = source.endswith("__pycache__")
        packages_in = _PACKAGES
        if prefixed is not None and source == str(template):
            packages_in = frozenset(os.listdir(source)) - _CONDA_COPIED  # noqa: PTH208
        with os.scandir(source) as entries:
            for entry in entries:
                there = f"{target}/{entry.name}"
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.path), there)  # noqa: PTH115, PTH211
                elif entry.is_dir():
                    os.mkdir(there)  # noqa: PTH102
                    packages = installed or entry.name in packages_in
                    below.append((entry.path, there, packages))
                elif entry.path in edited:
                    _rewrite(entry.path, there, names)
                    if edited[entry.path] == "binary":
                        _sign(there)
                elif cache:
                    if entry.name.endswith(".pyc"):  # others are on their way to become one
                        _link(entry.path, there)
                elif installed and not entry.name.endswith(".pth"):
                    _link(entry.path, there)
                elif not entry.name.startswith(MARKER):
                    _copy(entry, there, names)


def move_environment(clone: Path, target: Path) -> None:
    """Give a clone of a virtual environment another name, of the same length in the same folder.

    Nobody may run in it. Touches what cloning has written, which is little, and links nothing.
    Raises: OSError; ValueError for what can't be moved so.
    """
    if (clone.parent, len(clone.name)) != (target.parent, len(target.name)):
        raise ValueError(f"{clone} can't become {target}")
    if prefixed_files(clone) is not None:
        raise ValueError(f"{clone} is a conda environment")
    clone.rename(target)
    names = (os.fsencode(clone.name), os.fsencode(target.name))
    for folder, folders, files in os.walk(target):
        installed = not _PACKAGES.isdisjoint(Path(folder).parts)
        if installed:
            folders.clear()  # below it, all is linked
        for file in files:
            path = Path(folder, file)
            if not path.is_symlink() and (not installed or file.endswith(".pth")):
                _rename_in(path, names)


def _rename_in(path: Path, names: tuple[bytes, bytes]) -> None:
    if path.stat().st_size > _COPIED_UP_TO and not _is_script(str(path)):
        return  # linked
    content = path.read_bytes()
    if names[0] in content:
        times = path.stat()
        path.write_bytes(content.replace(*names))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


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
    else:
        _rewrite(entry.path, target, names)


def _rewrite(source: str, target: str, names: tuple[bytes, bytes]) -> None:
    content = Path(source).read_bytes()
    if names[0] in content:
        Path(target).write_bytes(content.replace(*names))
        shutil.copystat(source, target)
    else:
        shutil.copy2(source, target)


def _sign(path: str) -> None:
    """macOS runs no program whose content is not what was signed, so a changed one is signed anew,
    by nobody in particular; as whoever linked it has done."""
    if sys.platform == "darwin":
        command = ["/usr/bin/codesign", "--sign", "-", "--force", path]
        subprocess.run(command, capture_output=True, check=False)  # not everything can be signed


def _is_script(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(2) == b"#!"
